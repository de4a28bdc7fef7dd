import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPart10 } from '../../src/formats/dicom/part10-reader.ts';
import { tags } from '../../src/formats/dicom/tags.ts';
import { copySeries, rewriteDicom } from '../support/dicom-variants.ts';
import { errorOf, filesUnder, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

/** Every bad input of a real request: its code, a message that helps, and nothing left behind. */
describe.skipIf(!hasShared)('bad input', () => {
  let endpoint: TestEndpoint;
  let good: { datastoreId: string; imageSetId: string };
  const spleen = 'spleen.tar.gz';

  beforeAll(async () => {
    endpoint = await startTestEndpoint();
    endpoint.addModel(shared('models/spleen_ct_demo'), spleen);
    const imported = await endpoint.importFolder(shared('data/ct-abdomen-30'));
    good = { datastoreId: imported.datastoreId, imageSetId: imported.imageSets[0]?.imageSetId as string };
  }, 120_000);
  afterAll(() => endpoint?.stop());

  const folder = (name: string): string => mkdtempSync(join(endpoint.filesDir, `${name}-`));
  const uriOf = (path: string): string => `${pathToFileURL(path).href}/`;
  const invokeFolder = (path: string, extra: object = {}) =>
    endpoint.invoke(spleen, { inputs: [{ uri: uriOf(path) }], ...extra });
  const leftovers = (): string[] => filesUnder(`${endpoint.dataDir}/run`).filter((file) => file.includes('/requests/'));
  const expectError = async (response: Response, status: number, code: string, message: RegExp): Promise<void> => {
    const error = await errorOf(response);
    expect(error).toMatchObject({ status, code });
    expect(error.message).toMatch(message);
    expect(leftovers()).toEqual([]);
  };
  /** A copy of the abdomen series with some slices left out or rewritten. */
  const series = (change: (name: string, bytes: Buffer) => Uint8Array | undefined): string => {
    const target = folder('series');
    copySeries(shared('data/ct-abdomen-30'), target, change);
    return target;
  };

  it('names an unknown model', async () => {
    await expectError(await endpoint.invoke('nobody.tar.gz', { inputs: [good] }), 404, 'model_not_found', /model/i);
  });

  it.each([
    ['cut', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2), /archive|end|cut|damaged/i],
    ['no gzip at all', () => Buffer.from('not an archive'), /archive|gzip/i],
    ['empty', () => Buffer.alloc(0), /archive|empty|gzip/i],
  ])('refuses an archive that is %s', async (name, change, message) => {
    const target = `bad-${name.replaceAll(' ', '-')}.tar.gz`;
    writeFileSync(join(endpoint.modelsDir, target), change(readFileSync(join(endpoint.modelsDir, spleen))));
    await expectError(await endpoint.invoke(target, { inputs: [good] }), 422, 'invalid_archive', message);
  });

  const tarBundle = (name: string, change: (dir: string) => void, flags: string[] = []): string => {
    const dir = folder('bundle');
    cpSync(shared('models/spleen_ct_demo'), dir, { recursive: true });
    execFileSync('chmod', ['-R', 'u+w', dir]);
    change(dir);
    execFileSync('tar', ['czf', join(endpoint.modelsDir, name), ...flags, '-C', dir, '.']);
    return name;
  };

  it('refuses an archive with a link', async () => {
    const target = tarBundle('link.tar.gz', (dir) =>
      execFileSync('ln', ['-s', '/etc/passwd', join(dir, 'configs/x.json')]),
    );
    await expectError(await endpoint.invoke(target, { inputs: [good] }), 422, 'invalid_archive', /link/i);
  });

  it('refuses an archive without a network, telling how to export one', async () => {
    const target = tarBundle('no-onnx.tar.gz', (dir) => {
      rmSync(join(dir, 'models/model.onnx'));
      writeFileSync(join(dir, 'models/model.pt'), 'weights');
    });
    await expectError(await endpoint.invoke(target, { inputs: [good] }), 422, 'unsupported_bundle', /onnx_export/);
  });

  it('refuses a damaged network', async () => {
    const target = tarBundle('bad-onnx.tar.gz', (dir) => writeFileSync(join(dir, 'models/model.onnx'), 'no protobuf'));
    const error = await errorOf(await endpoint.invoke(target, { inputs: [good] }));
    expect(error.status).toBe(422);
    expect(error.message).not.toContain(endpoint.dataDir);
  });

  it('names a transform that it does not run, its file and place', async () => {
    const target = tarBundle('odd.tar.gz', (dir) => {
      const path = join(dir, 'configs/inference.json');
      writeFileSync(path, readFileSync(path, 'utf8').replace('"EnsureChannelFirstd"', '"os.system"'));
    });
    await expectError(
      await endpoint.invoke(target, { inputs: [good] }),
      422,
      'unsupported_bundle',
      /os\.system.*inference\.json|inference\.json.*os\.system/s,
    );
  });

  it('says which image set is missing', async () => {
    const missing = { ...good, imageSetId: 'f'.repeat(32) };
    await expectError(await endpoint.invoke(spleen, { inputs: [missing] }), 422, 'input_not_found', /image set/i);
  });

  it('refuses a series with a slice missing', async () => {
    const path = series((name, bytes) => (name === 'CT0012.dcm' ? undefined : bytes));
    await expectError(await invokeFolder(path), 422, 'unprocessable_image', /slice|spacing/i);
  });

  it('refuses mixed patients', async () => {
    const path = series((name, bytes) =>
      name === 'CT0003.dcm' ? rewriteDicom(bytes, { [tags.PatientID]: ['LO', 'SOMEBODY-ELSE'] }) : bytes,
    );
    const response = await invokeFolder(path);
    const text = await response.text();
    expect(text).not.toContain('SOMEBODY');
    expect(JSON.parse(text).error.code).toBe('unprocessable_image');
  });

  it('refuses when no series fits, and when two fit', async () => {
    await expectError(await invokeFolder(shared('data/mr-t1-brain')), 403, 'forbidden', /ALLOWED_URIS/);
    const magnetic = folder('mr');
    cpSync(shared('data/mr-t1-brain'), magnetic, { recursive: true });
    await expectError(await invokeFolder(magnetic), 422, 'unprocessable_image', /series/i);
    const two = series((_name, bytes) => bytes);
    for (const name of readdirSync(two)) {
      const bytes = rewriteDicom(readFileSync(join(two, name)), {
        [tags.SeriesInstanceUID]: ['UI', '1.2.3.4.5'],
        [tags.SOPInstanceUID]: ['UI', `1.2.3.4.5.${name.replace(/\D/g, '')}`],
      });
      writeFileSync(join(two, `second-${name}`), bytes);
    }
    await expectError(await invokeFolder(two), 422, 'unprocessable_image', /1\.2\.3\.4\.5/);
  });

  it('refuses a file cut short', async () => {
    const path = series((name, bytes) => (name === 'CT0005.dcm' ? bytes.subarray(0, bytes.length - 5000) : bytes));
    await expectError(await invokeFolder(path), 422, 'unprocessable_image', /./);
  });

  it('refuses URIs outside the allow-list, for inputs and outputs', async () => {
    for (const uri of ['file:///etc/', `${uriOf(endpoint.filesDir)}../data/`, 's3://somebody/else/']) {
      await expectError(await endpoint.invoke(spleen, { inputs: [{ uri }] }), 403, 'forbidden', /ALLOWED_URIS/);
      await expectError(
        await endpoint.invoke(spleen, { inputs: [good], output: { uri } }),
        403,
        'forbidden',
        /ALLOWED_URIS/,
      );
    }
  });

  it('refuses a body that is no JSON, and one of 30 MB', async () => {
    await expectError(await endpoint.invoke(spleen, undefined, { body: '{"inputs":' }), 400, 'invalid_request', /JSON/);
    const big = await endpoint.invoke(spleen, undefined, { body: Buffer.alloc(30 * 1024 * 1024) });
    await expectError(big, 413, 'payload_too_large', /MAX_BODY_BYTES/);
  });

  it('removes what it wrote when the disk is full', async () => {
    const output = folder('full');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', output]);
    try {
      const error = await errorOf(await endpoint.invoke(spleen, { inputs: [good], output: { uri: uriOf(output) } }));
      expect(error.status).toBeGreaterThanOrEqual(500);
      expect(error.message).toMatch(/disk|space|full/i);
      expect(filesUnder(output)).toEqual([]);
    } finally {
      execFileSync('umount', [output]);
    }
  });

  it('refuses the same inferenceId with other inputs', async () => {
    const output = { uri: uriOf(folder('results')) };
    const first = await endpoint.invoke(spleen, { inputs: [good], output, inferenceId: 'same' });
    expect(first.status).toBe(200);
    const again = await endpoint.invoke(spleen, { inputs: [good], output, inferenceId: 'same' });
    expect(again.status).toBe(200);
    const path = series((_name, bytes) => bytes);
    await expectError(await invokeFolder(path, { output, inferenceId: 'same' }), 409, 'conflict', /inferenceId/);
  });

  it('still answers, and logged nothing of a patient or of this machine', async () => {
    expect((await endpoint.invoke(spleen, { inputs: [good] })).status).toBe(200);
    const log = endpoint.log();
    const patient = readPart10(readFileSync(shared('data/ct-abdomen-30/CT0001.dcm'))).dataset;
    for (const tag of [tags.PatientID, tags.PatientName, tags.StudyInstanceUID, tags.SeriesInstanceUID]) {
      expect(log).not.toContain(patient.string(tag));
    }
    expect(log).not.toContain(endpoint.filesDir);
    expect(log).not.toContain('CT0003');
  });
});
