import type { ErrorCode } from '../errors.ts';

/** What the model cache tells as it happens: the metrics count it. Names are models', never anything of a request. */
export interface ModelEvents {
  /** A load ended; its time counts from the wish to load, with the wait for room. */
  loaded(model: string, outcome: 'ok' | ErrorCode, seconds: number): void;
  /** A copy from the place of models ended. */
  downloaded(model: string, outcome: 'ok' | ErrorCode, seconds: number): void;
  /** A model was looked for: was it loaded (`memory`), or unpacked (`disk`)? */
  lookedUp(cache: 'memory' | 'disk', isHit: boolean): void;
}

export const noModelEvents: ModelEvents = {
  loaded: () => undefined,
  downloaded: () => undefined,
  lookedUp: () => undefined,
};
