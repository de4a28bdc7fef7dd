import type { ImagingJob } from './imaging-job.ts';
import { defaultInferenceId, requestFingerprint } from './inference-id.ts';
import type { ModelIdentity } from './operators/json-writer.ts';

/** Who a job is: its model as answers name it, its id, and what makes it this request and no other. */
export interface JobIdentity {
  readonly model: ModelIdentity;
  readonly inferenceId: string;
  readonly fingerprint: string;
}

export async function identifyJob(
  job: Pick<
    ImagingJob,
    'inputs' | 'outputUri' | 'publish' | 'prompts' | 'inferenceId' | 'bundle' | 'mapJson' | 'model'
  >,
): Promise<JobIdentity> {
  const model: ModelIdentity = {
    name: job.mapJson.name ?? job.model.name,
    version: job.mapJson.version ?? job.bundle.metadata.version ?? '0',
    sha256: job.model.sha256,
  };
  const fingerprint = await requestFingerprint({
    modelSha256: job.model.sha256,
    inputs: job.inputs,
    outputUri: job.outputUri,
    publish: job.publish,
    prompts: job.prompts,
  });
  return { model, fingerprint, inferenceId: job.inferenceId ?? defaultInferenceId(fingerprint) };
}
