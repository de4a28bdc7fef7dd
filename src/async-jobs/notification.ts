import type { AsyncJob, AsyncOutcome } from './async-job.ts';

/** Tells of a finished job; a second telling of the same job carries the same id. */
export interface Notifier {
  notify(id: string, message: AsyncNotification, signal: AbortSignal): Promise<void>;
}

/** What SageMaker publishes to its SNS topics (field-facts §2.5). */
export interface AsyncNotification {
  readonly awsRegion: string;
  readonly eventTime: string;
  readonly receivedTime: string;
  readonly invocationStatus: 'Completed' | 'Failed';
  readonly failureReason?: string;
  readonly requestParameters: {
    readonly contentType?: string;
    readonly endpointName: string;
    readonly inputLocation?: string;
  };
  readonly responseParameters?: { readonly contentType: string; readonly outputLocation: string };
  readonly inferenceId: string;
  readonly eventVersion: '1.0';
  readonly eventSource: 'aws:sagemaker';
  readonly eventName: 'InferenceResult';
}

export function notificationOf(
  job: AsyncJob,
  outcome: AsyncOutcome,
  facts: { readonly region: string; readonly nowMs: number },
): AsyncNotification {
  const contentType = job.headers['content-type'];
  return {
    awsRegion: facts.region,
    eventTime: new Date(facts.nowMs).toISOString(),
    receivedTime: new Date(job.receivedAtMs).toISOString(),
    invocationStatus: outcome.ok ? 'Completed' : 'Failed',
    ...(outcome.ok ? {} : { failureReason: failureReasonOf(outcome.error) }),
    requestParameters: {
      ...(contentType === undefined ? {} : { contentType }),
      endpointName: job.endpointName,
      ...(job.inputUri === undefined ? {} : { inputLocation: job.inputUri }),
    },
    ...(outcome.ok ? { responseParameters: { contentType: outcome.contentType, outputLocation: job.outputUri } } : {}),
    inferenceId: job.inferenceId,
    eventVersion: '1.0',
    eventSource: 'aws:sagemaker',
    eventName: 'InferenceResult',
  };
}

/** The code only: a message may quote identifiers, and topics are read by many. The whole error is the failure object. */
const failureReasonOf = (error: { readonly status: number; readonly code: string }): string =>
  `Received server error (${error.status}) from model: ${error.code}`;
