import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

let multiple: Set<string> | undefined;

/**
 * True where PS3.6 allows more than one value for a keyword: such an attribute is an array in the metadata document,
 * also with one value (`WindowWidth: ["400"]` beside `RescaleSlope: "1"`).
 */
export function allowsManyValues(keyword: string): boolean {
  multiple ??= scan();
  return multiple.has(keyword);
}

/** dcmjs' dictionary as text, as in formats/dicom/dictionary: only those that allow several values are kept. */
function scan(): Set<string> {
  const text = readFileSync(createRequire(import.meta.url).resolve('dcmjs/dictionary'), 'latin1');
  const entry = /name: "(?:RETIRED_)?(\w+)",\s+vm: "([^"]+)"/g;
  const found = new Set<string>();
  for (const [, keyword, multiplicity] of text.matchAll(entry)) {
    if (multiplicity !== '1' && multiplicity !== '0') found.add(keyword as string);
  }
  return found;
}
