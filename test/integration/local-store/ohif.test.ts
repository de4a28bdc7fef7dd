import { mkdirSync, writeFileSync } from 'node:fs';
import { CreateDatastoreCommand } from '@aws-sdk/client-medical-imaging';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';
import { importFolder, scratchFolder, startStore } from '../../support/local-store/running-store.ts';

/**
 * The requests of OHIF's DICOMweb data source, as its sources make them (Viewers 3, `DicomWebDataSource/qido.js`,
 * `retrieveStudyMetadata`; frames by Cornerstone's `wadors` loader).
 */
const json = 'application/dicom+json';
const scratch = scratchFolder();
let store: Awaited<ReturnType<typeof startStore>>;
let root: string;

beforeAll(async () => {
  store = await startStore({ dataDir: `${scratch.path}/data`, allowedUris: [scratch.path] });
  const { datastoreId } = await store.client.send(new CreateDatastoreCommand({ datastoreName: 'ohif' }));
  root = `${store.url}/datastore/${datastoreId}`;
  for (const folder of ['in', 'out']) mkdirSync(`${scratch.path}/${folder}`);
  for (const number of [1, 2]) writeFileSync(`${scratch.path}/in/${number}.dcm`, part10(ctSlice(number)));
  await importFolder(store.client, datastoreId as string, `${scratch.uri}in/`, `${scratch.uri}out/`);
});
afterAll(async () => {
  await store.close();
  scratch.remove();
});

type Answer = Record<string, { vr: string; Value?: unknown[] }>[];

async function get(path: string, accept: string): Promise<Response> {
  const response = await fetch(`${root}${path}`, { headers: { accept } });
  expect(response.status).toBe(200);
  return response;
}
const list = async (path: string): Promise<Answer> => (await get(path, json)).json() as Promise<Answer>;

it('the study list: wildcards, a date range, fields of the series among those of the study', async () => {
  const fields = 'limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030';
  const search = 'PatientName=*Test*&00100020=*TEST*&ModalitiesInStudy=CT&StudyDate=20240101-20241231';
  for (const query of [fields, `${search}&${fields}`, `StudyInstanceUID=2.25.1000%5C2.25.9&${fields}`]) {
    const [study, ...others] = await list(`/studies?${query}`);
    expect(others).toEqual([]);
    expect(study?.['0020000D']?.Value).toEqual(['2.25.1000']);
    expect(study?.['00080061']?.Value).toEqual(['CT']);
    expect(study?.['00201208']?.Value).toEqual([2]);
    expect(study?.['00100010']?.Value).toEqual([{ Alphabetic: 'Test^Patient' }]);
  }
  const none = await fetch(`${root}/studies?PatientName=*Other*&${fields}`, { headers: { accept: json } });
  expect(['', '[]']).toContain(await none.text());
});

it('the series of a study, their metadata and frames', async () => {
  const [series, ...others] = await list('/studies/2.25.1000/series?includefield=0008103E%2C00080021');
  expect(others).toEqual([]);
  expect(series).toMatchObject({ '0020000E': { Value: ['2.25.1000.2'] }, '00201209': { Value: [2] } });
  const path = '/studies/2.25.1000/series/2.25.1000.2';
  const instances = await list(`${path}/metadata`);
  expect(instances.map((instance) => instance['00080018']?.Value)).toEqual([['2.25.1000.3.1'], ['2.25.1000.3.2']]);
  expect(instances[0]).toMatchObject({ '00280010': { Value: [48] }, '00280103': { Value: [1] } });

  const accept = 'multipart/related; type=application/octet-stream; transfer-syntax=*';
  const frame = await get(`${path}/instances/2.25.1000.3.2/frames/1`, accept);
  const boundary = /boundary="?([^";]+)/.exec(frame.headers.get('content-type') as string)?.[1] as string;
  const body = Buffer.from(await frame.arrayBuffer());
  const start = body.indexOf('\r\n\r\n') + 4;
  expect(body.subarray(0, start).toString()).toContain('transfer-syntax=1.2.840.10008.1.2.4.202');
  const bytes = body.subarray(start, body.indexOf(`\r\n--${boundary}--`, start));
  const pixels = ctSlice(2)[0x7fe00010]?.[1] as Uint8Array;
  expect(Buffer.from((await decodeHtj2k(bytes)).pixels)).toEqual(Buffer.from(pixels));
});
