import type { SeriesRules } from '../../api/map-json.ts';
import { EndpointError } from '../../errors.ts';
import type { DicomDataset } from '../../formats/dicom/dataset.ts';
import { tagOf, tags } from '../../formats/dicom/dictionary.ts';
import { compileSafePattern } from './safe-pattern.ts';

type ConditionValue = SeriesRules['selections'][number]['conditions'][string];
type Condition = (first: DicomDataset) => boolean;

/** One selection of the rules, compiled. */
export interface CompiledSelection {
  readonly name: string;
  /** True when a series with this first instance fulfils all conditions. */
  matches(first: DicomDataset): boolean;
}

const numberVrs = new Set(['DS', 'IS', 'US', 'SS', 'UL', 'SL', 'UV', 'SV', 'FL', 'FD']);
const comparisons: Readonly<Record<string, (value: number, limit: number) => boolean>> = {
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '!=': (value, limit) => value !== limit,
};

/**
 * Compiles series selection rules with the meaning that MONAI Deploy's `DICOMSeriesSelectorOperator` gives them
 * (field-facts §4.2): conditions are joined by AND and read from the first instance; a missing attribute is no match; an
 * empty condition (0, "", []) says nothing.
 *
 * @throws EndpointError `unsupported_bundle` for a keyword, pattern or condition that cannot be meant
 */
export function compileSeriesRules(rules: SeriesRules): CompiledSelection[] {
  return rules.selections.map(({ name, conditions }) => {
    const compiled = Object.entries(conditions)
      .filter(([, value]) => (Array.isArray(value) ? value.length > 0 : Boolean(value)))
      .map(([keyword, value]) => compileCondition(keyword, value, rules.substringTerms));
    return { name, matches: (first) => compiled.every((condition) => condition(first)) };
  });
}

function compileCondition(keyword: string, value: ConditionValue, substringTerms: boolean): Condition {
  const tag = tagOf(keyword);
  if (tag === undefined) throw refused(keyword, 'is no DICOM keyword');
  if (tag === tags.ImageOrientationPatient) return orientationCondition(keyword, value);
  const whenNumber = numberCondition(value);
  const whenText = textCondition(value);
  const whenList = listCondition(value, substringTerms);
  return (first) => {
    const texts = first.strings(tag).filter((text) => text !== '');
    if (texts.length === 0) return false;
    if (texts.length > 1) return whenList(texts);
    const number = numberVrs.has(first.get(tag)?.vr ?? '') ? first.number(tag) : undefined;
    if (number !== undefined) return whenNumber(number, texts[0] as string);
    return whenText ? whenText(texts[0] as string) : whenList(texts);
  };
}

/** A number, a pattern for its text, an inclusive range [a, b], or [limit, comparison]. */
function numberCondition(value: ConditionValue): (number: number, text: string) => boolean {
  if (typeof value === 'number') return (number) => number === value;
  if (typeof value === 'string') {
    const pattern = compileSafePattern(value);
    return (_number, text) => pattern.fullMatch(text);
  }
  const [low, high] = value;
  if (value.length === 2 && typeof low === 'number' && typeof high === 'number') {
    return (number) => low <= number && number <= high;
  }
  const compare = typeof high === 'string' ? comparisons[high] : undefined;
  if (value.length === 2 && typeof low === 'number' && compare) return (number) => compare(number, low);
  return () => false;
}

/** Equal in either case, or found anywhere as a pattern. A list is left to the terms. */
function textCondition(value: ConditionValue): ((text: string) => boolean) | undefined {
  if (Array.isArray(value)) return undefined;
  const wanted = String(value).toLowerCase();
  const pattern = compileSafePattern(String(value));
  return (text) => text.toLowerCase() === wanted || pattern.search(text);
}

/** All terms must be there, those behind "!" must not. */
function listCondition(value: ConditionValue, substringTerms: boolean): (texts: readonly string[]) => boolean {
  const terms = (Array.isArray(value) ? value : [value]).map((term) => String(term).toLowerCase());
  return (texts) => {
    const lower = texts.map((text) => text.toLowerCase());
    // The SDK looks into the list's printed form.
    const printed = `[${lower.map((text) => `'${text}'`).join(', ')}]`;
    const holds = (term: string) => (substringTerms ? printed.includes(term) : lower.includes(term));
    return terms.every((term) => (term.startsWith('!') ? !holds(term.slice(1)) : holds(term)));
  };
}

function orientationCondition(keyword: string, value: ConditionValue): Condition {
  const wanted = typeof value === 'string' ? value.toLowerCase() : '';
  if (!['axial', 'coronal', 'sagittal'].includes(wanted))
    throw refused(keyword, 'takes "Axial", "Coronal" or "Sagittal"');
  return (first) => {
    const cosines = first.numbers(tags.ImageOrientationPatient);
    if (cosines?.length !== 6) return false;
    // The axes are the patient's own only where the position is known to be a normal one.
    if (!/^[HF]F[SPD][LR]?$/.test(first.string(tags.PatientPosition) ?? '')) {
      throw new EndpointError(
        'unprocessable_image',
        'The series rules ask for an orientation, but a series has no usable PatientPosition.',
      );
    }
    return orientationOf(cosines) === wanted;
  };
}

/** Name of the dominant axis of the slice normal. */
function orientationOf(cosines: readonly number[]): string {
  const [rx, ry, rz, cx, cy, cz] = cosines as [number, number, number, number, number, number];
  const normal = [ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx].map(Math.abs);
  return ['sagittal', 'coronal', 'axial'][normal.indexOf(Math.max(...normal))] as string;
}

function refused(keyword: string, reason: string): EndpointError {
  return new EndpointError('unsupported_bundle', `map.json: the series condition "${keyword}" ${reason}.`);
}
