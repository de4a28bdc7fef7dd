import { DicomDataset } from './dataset.ts';
import { tags } from './tags.ts';

/** A coded concept: value, coding scheme, meaning (PS3.3 §8), as in `["78961009", "SCT", "Spleen"]`. */
export type Code = readonly [value: string, scheme: string, meaning: string];

/** An item of a code sequence (PS3.3 table 8.8-1). Values of more than 16 characters need LongCodeValue: not written. */
export const codeItem = ([value, scheme, meaning]: Code): DicomDataset =>
  new DicomDataset()
    .set(tags.CodeValue, 'SH', value)
    .set(tags.CodingSchemeDesignator, 'SH', scheme)
    .set(tags.CodeMeaning, 'LO', meaning);
