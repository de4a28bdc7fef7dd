import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { GetImageSetCommand, MedicalImagingClient, SearchImageSetsCommand } from '@aws-sdk/client-medical-imaging';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InvocationAnswer } from '../../src/api/invocation.ts';
import { readPart10 } from '../../src/formats/dicom/part10-reader.ts';
import { tags } from '../../src/formats/dicom/tags.ts';
import { hasOrthanc, type OrthancServer, startOrthanc } from '../support/connectors/orthanc-server.ts';
import { startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

const model = 'spleen.tar.gz';

/** Study, series and instance of a written object. */
function uidsOf(path: string) {
  const { dataset } = readPart10(readFileSync(path));
  const [study, series, instance] = [tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.SOPInstanceUID].map((tag) =>
    dataset.string(tag),
  );
  return { study: study as string, series: series as string, instance: instance as string };
}

/** What the pixels of a segmentation say, whichever way it was stored. */
function segmentationOf(bytes: Uint8Array) {
  const file = readPart10(bytes);
  const frames = Array.from({ length: file.numberOfFrames }, (_, index) =>
    Buffer.from(file.frame(index)).toString('hex'),
  );
  return { frames, label: file.dataset.items(tags.SegmentSequence).map((item) => item.string(tags.SegmentLabel)) };
}

describe.skipIf(!hasShared)('publish', () => {
  const series = shared('data/ct-abdomen-30');
  let endpoint: TestEndpoint;
  let orthanc: OrthancServer | undefined;
  let imaging: MedicalImagingClient;
  let id: { datastoreId: string; imageSetId: string };
  let studyInstanceUid: string;
  let seriesInstanceUid: string;

  beforeAll(async () => {
    orthanc = hasOrthanc ? await startOrthanc() : undefined;
    const env = orthanc ? { DICOMWEB_AUTHORIZATION: `${orthanc.dicomWeb} ${orthanc.authorization}` } : {};
    endpoint = await startTestEndpoint(env, () => (orthanc ? ['--allow', orthanc.dicomWeb] : []));
    endpoint.addModel(shared('models/spleen_ct_demo'), model);
    const { datastoreId, imageSets } = await endpoint.importFolder(series);
    id = { datastoreId, imageSetId: imageSets[0]?.imageSetId as string };
    imaging = new MedicalImagingClient({
      endpoint: endpoint.url,
      disableHostPrefix: true,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    });
    const [first] = readdirSync(series);
    ({ study: studyInstanceUid, series: seriesInstanceUid } = uidsOf(join(series, first as string)));
    expect(await orthanc?.storeFolder(series)).toBe(orthanc ? 30 : undefined);
  }, 120_000);
  afterAll(async () => {
    imaging?.destroy();
    await endpoint?.stop();
    await orthanc?.close();
  });

  async function invoke(body: object): Promise<InvocationAnswer> {
    const response = await endpoint.invoke(model, body);
    const answer = (await response.json()) as InvocationAnswer;
    expect(response.status, JSON.stringify(answer)).toBe(200);
    return answer;
  }
  const outputFolder = (): string => `${pathToFileURL(mkdtempSync(join(endpoint.filesDir, 'out-'))).href}/`;
  const segmentationFile = (answer: InvocationAnswer): string => {
    const uri = answer.outputs.find(({ type }) => type === 'dicom-seg')?.uri as string;
    return fileURLToPath(uri);
  };
  const imageSetsOf = async (DICOMSeriesInstanceUID: string) => {
    const filters = [{ operator: 'EQUAL' as const, values: [{ DICOMSeriesInstanceUID }] }];
    const command = new SearchImageSetsCommand({ datastoreId: id.datastoreId, searchCriteria: { filters } });
    return (await imaging.send(command)).imageSetsMetadataSummaries ?? [];
  };

  it('stores the segmentation as an image set, once', async () => {
    const request = {
      inputs: [id],
      output: { uri: outputFolder() },
      publish: { healthimaging: { datastoreId: id.datastoreId } },
      inferenceId: 'published-1',
    };
    const answer = await invoke(request);
    const [publication] = answer.published ?? [];
    expect(publication).toMatchObject({ to: 'healthimaging', datastoreId: id.datastoreId, wasThere: false });
    const [imageSetId] = publication?.to === 'healthimaging' ? publication.imageSetIds : [];
    const found = await imaging.send(new GetImageSetCommand({ datastoreId: id.datastoreId, imageSetId }));
    expect(found.imageSetState).toBe('ACTIVE');

    const path = segmentationFile(answer);
    const out = mkdtempSync(join(endpoint.filesDir, 'read-'));
    const cli = fileURLToPath(new URL('../../dist/cli/map-endpoint.js', import.meta.url));
    const where = ['--datastore', id.datastoreId, '--image-set', imageSetId as string, '--endpoint-url', endpoint.url];
    execFileSync(process.execPath, [cli, 'dicomize', ...where, '-o', out], { stdio: 'ignore' });
    const { instance, series: segSeries } = uidsOf(path);
    const readBack = readFileSync(join(out, imageSetId as string, `${instance}.dcm`));
    expect(segmentationOf(readBack)).toEqual(segmentationOf(readFileSync(path)));

    const again = await invoke(request);
    expect(again.published).toEqual([{ ...publication, wasThere: true }]);
    const [only, ...others] = await imageSetsOf(segSeries);
    expect(only).toMatchObject({ imageSetId, version: 1 });
    expect(others).toEqual([]);
    expect(JSON.parse(readFileSync(join(path, '..', 'result.json'), 'utf8')).published).toEqual(again.published);
  });

  it.skipIf(!hasOrthanc)('reads a series from a PACS and stores the segmentation there, once', async () => {
    const { dicomWeb } = orthanc as OrthancServer;
    const source = { dicomweb: dicomWeb, studyInstanceUid, seriesInstanceUid };
    const request = {
      inputs: [source],
      output: { uri: outputFolder() },
      publish: { dicomweb: { url: `${dicomWeb}/` } },
    };
    const answer = await invoke(request);
    expect(answer.published).toEqual([{ to: 'dicomweb', url: `${dicomWeb}/`, wasThere: false }]);
    const path = segmentationFile(answer);
    const { study, series: segSeries, instance } = uidsOf(path);
    expect(study).toBe(studyInstanceUid);
    expect(await orthanc?.instancesOf('SEG')).toEqual([instance]);
    const stored = await orthanc?.fetchInstance(`/studies/${study}/series/${segSeries}/instances/${instance}`);
    expect(Buffer.from((await stored?.arrayBuffer()) as ArrayBuffer).includes(readFileSync(path))).toBe(true);
    expect((await invoke(request)).published).toEqual([{ to: 'dicomweb', url: `${dicomWeb}/`, wasThere: true }]);
    expect(await orthanc?.instancesOf('SEG')).toEqual([instance]);

    // The same images from the image set: the same voxels.
    const { measurements } = await invoke({ inputs: [id], output: { uri: outputFolder() } });
    expect(answer.measurements).toEqual(measurements);
  });

  it.skipIf(!hasOrthanc)('a study that the PACS does not have is no input', async () => {
    const { dicomWeb } = orthanc as OrthancServer;
    const response = await endpoint.invoke(model, { inputs: [{ dicomweb: dicomWeb, studyInstanceUid: '2.25.404' }] });
    expect(response.status).toBe(422);
    expect(((await response.json()) as { error: { code: string } }).error.code).toBe('input_not_found');
  });

  it.each([
    ['a server outside the list as input', { inputs: [{ dicomweb: 'http://127.0.0.1:1/x', studyInstanceUid: '1.2' }] }],
    ['a server outside the list to publish to', { publish: { dicomweb: { url: 'http://127.0.0.1:1/x' } } }],
  ])('%s is forbidden', async (_name, change) => {
    const response = await endpoint.invoke(model, { inputs: [id], ...change });
    expect(response.status).toBe(403);
    expect(await response.text()).not.toContain('127.0.0.1:1');
  });

  it('a data store that is not there fails the request, and nothing is left of its outputs', async () => {
    const folder = join(endpoint.filesDir, 'nothing');
    mkdirSync(folder);
    const response = await endpoint.invoke(model, {
      inputs: [id],
      output: { uri: pathToFileURL(folder).href },
      publish: { healthimaging: { datastoreId: '0'.repeat(32) } },
    });
    expect(response.status).toBe(502);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files).toEqual([]);
  });
});
