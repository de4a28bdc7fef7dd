/** What a bundle says of an image without drawing on it. */
export type Findings = Classification | BoxFindings;

/** A figure for each class, of the whole image. */
export interface Classification {
  readonly kind: 'classification';
  /** `probability`; `flag`: 1 for the classes that the bundle decided for, else 0; `value`: what the network gave. */
  readonly meaning: 'probability' | 'flag' | 'value';
  readonly classes: readonly ClassFinding[];
}

export interface ClassFinding {
  /** Number of the class, from 0. */
  readonly class: number;
  /** Of the bundle's `channel_def`; null where it names none. */
  readonly name: string | null;
  readonly value: number;
}

/** Boxes in the patient's space, best first. */
export interface BoxFindings {
  readonly kind: 'detections';
  readonly space: 'LPS' | 'RAS';
  readonly unit: 'mm';
  /** Order of the numbers of a box, by MONAI's name: `cccwhd` is its centre and its sizes. */
  readonly mode: string;
  readonly boxes: readonly BoxFinding[];
}

export interface BoxFinding {
  readonly box: readonly number[];
  readonly score: number;
  /** Number of the class, from 0. */
  readonly label: number;
  readonly name: string | null;
}
