import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { CreateDatastoreCommand, SearchImageSetsCommand } from '@aws-sdk/client-medical-imaging';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentOf, importFolder, scratchFolder, startStore } from '../../support/local-store/running-store.ts';
import { hasShared, shared } from '../../support/shared-data.ts';

/** Kinds of JSON value seen at each place; UIDs that serve as keys count as one place. */
type Schema = Map<string, Set<string>>;

const kindOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value === 'object' ? 'object' : typeof value;

function collect(value: unknown, place: string, schema: Schema): Schema {
  const kinds = schema.get(place) ?? new Set();
  schema.set(place, kinds.add(kindOf(value)));
  if (Array.isArray(value)) for (const item of value) collect(item, `${place}[]`, schema);
  else if (value !== null && typeof value === 'object') {
    for (const [key, part] of Object.entries(value)) {
      collect(part, `${place}.${/^[0-9.]+$/.test(key) ? '<UID>' : key}`, schema);
    }
  }
  return schema;
}

describe.skipIf(!hasShared)('the metadata document beside a real one of the service', () => {
  const scratch = scratchFolder();
  let real: Schema;
  let ours: Schema;

  beforeAll(async () => {
    const text = gunzipSync(readFileSync(shared('data/healthimaging-metadata-588.json.gz'))).toString('utf8');
    real = collect(JSON.parse(text), '', new Map());
    const store = await startStore({ dataDir: `${scratch.path}/data`, allowedUris: [shared('data'), scratch.path] });
    const { datastoreId } = await store.client.send(new CreateDatastoreCommand({ datastoreName: 'schema' }));
    const input = pathToFileURL(shared('data/ct-abdomen-30')).href;
    const job = await importFolder(store.client, datastoreId as string, input, scratch.uri);
    expect(job).toMatchObject({ jobStatus: 'COMPLETED' });
    const found = await store.client.send(new SearchImageSetsCommand({ datastoreId }));
    const imageSetId = found.imageSetsMetadataSummaries?.[0]?.imageSetId as string;
    ours = collect(await documentOf(store.client, datastoreId as string, imageSetId), '', new Map());
    await store.close();
  });
  afterAll(() => scratch.remove());

  const isAttribute = (place: string): boolean => /[.]DICOM(VRs)?[.]/.test(place);

  it('has exactly the same keys around the attributes, with the same types', () => {
    const frame = (schema: Schema) => [...schema].filter(([place]) => !isAttribute(place)).map(([p, k]) => [p, ...k]);
    expect(frame(ours).sort()).toEqual(frame(real).sort());
    expect(frame(ours).length).toBeGreaterThan(20);
  });

  it('holds every attribute that both have at the same level, as the same type', () => {
    const places = [...ours.keys()].filter((place) => isAttribute(place) && real.has(place));
    expect(places.length).toBeGreaterThan(35);
    for (const place of places) {
      const kinds = [...(ours.get(place) as Set<string>)].filter((kind) => kind !== 'null');
      for (const kind of kinds) {
        const known = [...(real.get(place) as Set<string>)].filter((each) => each !== 'null');
        if (known.length > 0) expect({ place, kinds: known }).toEqual({ place, kinds: expect.arrayContaining([kind]) });
      }
    }
  });

  it('has no attribute at another level than the real one', () => {
    const levelOf = (schema: Schema) =>
      new Map(
        [...schema.keys()].filter(isAttribute).map((place) => {
          const at = place.lastIndexOf('.');
          return [place.slice(at + 1).replace('[]', ''), place.slice(0, at)] as const;
        }),
      );
    const known = levelOf(real);
    const moved = [...levelOf(ours)].filter(([keyword, level]) => known.has(keyword) && known.get(keyword) !== level);
    expect(moved).toEqual([]);
  });
});
