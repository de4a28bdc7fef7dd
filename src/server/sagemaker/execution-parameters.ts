import type { BatchSettings } from '../../api/batch-settings.ts';

export interface ParameterSources {
  /** Jobs that may usefully run at once. */
  readonly concurrentJobs: number;
  readonly maxBodyBytes: number;
  readonly batch: BatchSettings | undefined;
}

/** SageMaker refuses a job whose transforms could send more than this together. */
const maxTogetherMebibytes = 100;

/**
 * The answer of `/execution-parameters`: a line a request, as many at once as there are pipelines. A line is minutes of
 * work, so many lines in one request would only share its deadline; who asks for `MULTI_RECORD` gets it all the same.
 */
export function executionParameters({ concurrentJobs, maxBodyBytes, batch }: ParameterSources): {
  MaxConcurrentTransforms: number;
  BatchStrategy: string;
  MaxPayloadInMB: number;
} {
  // 0 leaves the choice to SageMaker, and so to us.
  const transforms = batch?.maxConcurrentTransforms || Math.min(concurrentJobs, maxTogetherMebibytes);
  const bodyMebibytes = Math.floor(maxBodyBytes / 1024 ** 2);
  const shareMebibytes = Math.floor(maxTogetherMebibytes / transforms);
  return {
    MaxConcurrentTransforms: transforms,
    BatchStrategy: batch?.strategy ?? 'SINGLE_RECORD',
    MaxPayloadInMB: batch?.maxPayloadMebibytes ?? Math.max(1, Math.min(bodyMebibytes, shareMebibytes)),
  };
}
