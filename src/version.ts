import { readFileSync } from 'node:fs';

interface PackageFile {
  readonly version: string;
}

/** Version of this program, as its package says; it stands in every DICOM object (Software Versions, PS3.3 C.7.5.2). */
export const programVersion: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as PackageFile
).version;
