/** A network's answer of one level over the whole image: channels one after another, z fastest. */
export interface HeadMap {
  readonly data: Float32Array;
  readonly channels: number;
  readonly shape: readonly [number, number, number];
}

/** What the heads of a detector's network say, a map a level, finest first. */
export interface HeadMaps {
  /** Channels: for each anchor of a place, a value a class. */
  readonly classification: readonly HeadMap[];
  /** Channels: for each anchor of a place, six codes. */
  readonly boxRegression: readonly HeadMap[];
}
