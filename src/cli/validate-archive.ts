import { readFile } from 'node:fs/promises';
import { EndpointError } from '../errors.ts';
import { readNifti } from '../formats/nifti/reader.ts';
import { serveArchive } from './archive-endpoint.ts';
import { ReportedFailure, UsageError } from './exit-codes.ts';
import { agreementOf } from './golden.ts';
import { createTerminal, formatTable } from './terminal.ts';

/** What `map-endpoint validate` was told. */
export interface ValidateFlags {
  readonly golden: readonly string[];
  readonly minDice: string;
  readonly json: boolean;
}

/**
 * `map-endpoint validate`: runs an archive on an image through an endpoint of its own, and compares the labels with those
 * that are expected.
 *
 * @throws ReportedFailure when a label agrees less than it should
 */
export async function runValidate(archive: string, flags: ValidateFlags): Promise<void> {
  const [image, expectedPath, ...more] = flags.golden;
  if (image === undefined || expectedPath === undefined || more.length > 0) {
    throw new UsageError('--golden takes an image and the expected label map (NIfTI).');
  }
  const minDice = Number(flags.minDice);
  if (!(minDice >= 0 && minDice <= 1)) throw new UsageError('--min-dice takes a number from 0 to 1.');
  const terminal = createTerminal(flags.json);
  const expected = readNifti(
    await readFile(expectedPath).catch((cause: unknown) => {
      throw new EndpointError('input_not_found', `There is no file "${expectedPath}".`, { cause });
    }),
  );
  terminal.progress('starting an endpoint');
  const endpoint = await serveArchive(archive, image, ['nifti', 'json']);
  try {
    terminal.progress('working');
    const { outputs } = await endpoint.invoke('validate');
    const nifti = outputs.find(({ type }) => type === 'nifti');
    if (!nifti?.base64) throw new EndpointError('internal', 'The answer has no label map.');
    const agreement = agreementOf(readNifti(Buffer.from(nifti.base64, 'base64')), expected);
    const failed = agreement.labels.filter(({ dice }) => dice < minDice);
    const passed = failed.length === 0 && agreement.labels.length > 0;
    terminal.json({ passed, minDice, ...agreement });
    const rows = agreement.labels.map(({ value, voxels, expectedVoxels, dice }) => [
      String(value),
      voxels,
      expectedVoxels,
      dice.toFixed(5),
    ]);
    for (const line of formatTable([['label', 'voxels', 'expected', 'Dice'], ...rows])) terminal.line(line);
    terminal.line(`${agreement.differing} of ${agreement.voxels} voxels differ`);
    if (agreement.labels.length === 0) throw new ReportedFailure('Neither label map holds a label.');
    if (!passed) {
      const values = failed.map(({ value }) => value).join(', ');
      throw new ReportedFailure(`Dice is under ${minDice} for the labels ${values}.`);
    }
  } finally {
    await endpoint.stop();
  }
}
