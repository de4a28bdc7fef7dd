import { EndpointError } from '../../errors.ts';

const MAX_LENGTH = 16;

/** A number as a DS value (PS3.5 §6.2): the most digits that fit in 16 characters. */
export function formatDs(value: number): string {
  if (!Number.isFinite(value)) throw new EndpointError('internal', `${value} cannot be written as a DICOM number.`);
  const plain = String(value === 0 ? 0 : value);
  if (plain.length <= MAX_LENGTH) return plain;
  for (let digits = 16; digits > 0; digits--) {
    for (const text of [String(Number(value.toPrecision(digits))), value.toExponential(digits - 1)]) {
      if (text.length <= MAX_LENGTH) return text;
    }
  }
  return '0';
}
