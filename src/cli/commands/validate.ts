import { Command } from 'commander';
import type { ValidateFlags } from '../validate-archive.ts';

export const validateCommand = (): Command =>
  new Command('validate')
    .description('Run a model archive on an image and compare its labels with the expected ones')
    .argument('<archive>', 'NAME.tar.gz, or the folder of a bundle')
    .requiredOption(
      '--golden <files...>',
      'the image (NIfTI, zip or folder of DICOM files) and the expected label map (NIfTI)',
    )
    .option('--min-dice <number>', 'least Dice of every label', '0.999')
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint validate models/spleen.tar.gz --golden ct.nii.gz monai-says.nii.gz

Starts an endpoint of its own for it. Ends with 1 when a label agrees less.`,
    )
    .action(async (archive: string, flags: ValidateFlags) => {
      const { runValidate } = await import('../validate-archive.ts');
      await runValidate(archive, flags);
    });
