import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config.ts';
import { executionParameters } from '../../../src/server/sagemaker/execution-parameters.ts';

const parametersOf = (env: Record<string, string>) => {
  const { pipelines, maxBodyBytes, batch } = parseConfig(env, 'serve');
  return executionParameters({ concurrentJobs: pipelines, maxBodyBytes, batch });
};

describe('/execution-parameters', () => {
  it('asks for a line a request, as many at once as are worked on', () => {
    expect(parametersOf({ PIPELINES: '2' })).toEqual({
      MaxConcurrentTransforms: 2,
      BatchStrategy: 'SINGLE_RECORD',
      MaxPayloadInMB: 25,
    });
  });

  it.each([3, 4, 5, 16, 99, 200])(
    'stays within the 100 MB that SageMaker allows %d transforms together',
    (pipelines) => {
      const { MaxConcurrentTransforms, MaxPayloadInMB } = parametersOf({ PIPELINES: `${pipelines}` });
      expect(MaxConcurrentTransforms * MaxPayloadInMB).toBeLessThanOrEqual(100);
      expect(MaxPayloadInMB).toBeGreaterThanOrEqual(1);
    },
  );

  it('says what the job says, and takes what the job will send', () => {
    const env = {
      SAGEMAKER_BATCH: 'true',
      SAGEMAKER_BATCH_STRATEGY: 'MULTI_RECORD',
      SAGEMAKER_MAX_CONCURRENT_TRANSFORMS: '1',
      SAGEMAKER_MAX_PAYLOAD_IN_MB: '80',
    };
    expect(parametersOf(env)).toEqual({
      MaxConcurrentTransforms: 1,
      BatchStrategy: 'MULTI_RECORD',
      MaxPayloadInMB: 80,
    });
    expect(parseConfig(env, 'serve').maxBodyBytes).toBe(80 * 1024 ** 2);
    expect(parseConfig({ ...env, MAX_BODY_BYTES: '1000' }, 'serve').maxBodyBytes).toBe(1000);
  });

  it('looks at the job’s variables in a batch job only', () => {
    const { batch, maxBodyBytes } = parseConfig({ SAGEMAKER_MAX_PAYLOAD_IN_MB: '80' }, 'serve');
    expect([batch, maxBodyBytes]).toEqual([undefined, 26_214_400]);
    const bad = { SAGEMAKER_BATCH: 'true', SAGEMAKER_BATCH_STRATEGY: 'SOME' };
    expect(() => parseConfig(bad, 'serve')).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
