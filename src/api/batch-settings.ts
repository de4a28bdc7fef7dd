/** How batch transform cuts an input into requests. */
export const batchStrategies = ['SINGLE_RECORD', 'MULTI_RECORD'] as const;

/** What a SageMaker batch transform job says about itself, as far as its caller did. */
export interface BatchSettings {
  readonly strategy?: (typeof batchStrategies)[number];
  readonly maxConcurrentTransforms?: number;
  /** 0: payloads of any size, sent in chunks. */
  readonly maxPayloadMebibytes?: number;
}
