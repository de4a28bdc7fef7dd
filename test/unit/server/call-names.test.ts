import { describe, expect, it } from 'vitest';
import { callNames, healthImagingCalls } from '../../../src/server/call-names.ts';
import { routesOf } from '../../../src/server/routes.ts';

const nameOf = callNames([...routesOf('local'), ...healthImagingCalls]);
const id = 'a'.repeat(32);

describe('names of calls', () => {
  it.each([
    ['POST', '/invocations', 'Invoke', '/invocations'],
    ['HEAD', '/ping', 'Ping', '/ping'],
    ['GET', '/models/Doe-Jane', 'DescribeModel', '/models/{name}'],
    ['POST', '/models/a%2Fb/invoke', 'InvokeModel', '/models/{name}/invoke'],
    ['POST', '/endpoints/e/invocations', 'InvokeEndpoint', '/endpoints/{endpoint}/invocations'],
    ['GET', '/v2/', 'ServerMetadata', '/v2'],
    ['POST', '/v2/models/team/a/infer', 'ModelInfer', '/v2/models/{name}/infer'],
    ['GET', '/v2/models/a/versions/1/ready', 'ModelReadyVersion', '/v2/models/{name}/versions/{version}/ready'],
    ['GET', '/v2/models/a', 'ModelMetadata', '/v2/models/{name}'],
    ['GET', '/datastore', 'ListDatastores', '/datastore'],
    [
      'POST',
      `/datastore/${id}/imageSet/${id}/getImageFrame`,
      'GetImageFrame',
      '/datastore/{datastoreId}/imageSet/{imageSetId}/getImageFrame',
    ],
    [
      'POST',
      `/startDICOMImportJob/datastore/${id}`,
      'StartDICOMImportJob',
      '/startDICOMImportJob/datastore/{datastoreId}',
    ],
  ])('%s %s is %s', (method, path, operation, route) => {
    expect(nameOf(method, path)).toEqual({ operation, route });
  });

  it('has none for what is no call', () => {
    for (const [method, path] of [
      ['GET', '/invocations'],
      ['GET', '/Doe/Jane'],
      ['GET', '/openapiXjson'],
      ['POST', '/models/a/b/invoke'],
    ] as const) {
      expect(nameOf(method, path), path).toBeUndefined();
    }
  });

  it('gives each call a name of its own', () => {
    const all = [...routesOf('local'), ...healthImagingCalls].map(({ operation }) => operation);
    expect(new Set(all).size).toBe(all.length);
  });
});
