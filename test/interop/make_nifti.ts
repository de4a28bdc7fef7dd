/** Writes what `test_nifti.py` judges: `tsx make_nifti.ts OUT_FOLDER FILE…` reads each NIfTI file and writes it again. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readNifti } from '../../src/formats/nifti/reader.ts';
import { writeNifti } from '../../src/formats/nifti/writer.ts';

const [out, ...files] = process.argv.slice(2) as [string, ...string[]];
for (const file of files) {
  const name = basename(file).replace(/\.nii(\.gz)?$/, '');
  writeFileSync(join(out, `${name}.nii.gz`), await writeNifti(readNifti(readFileSync(file))));
}
