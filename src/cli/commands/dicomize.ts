import { Command } from 'commander';
import type { DicomizeFlags } from '../dicomize-images.ts';
import { parseLevel, withImagingOptions } from '../flags.ts';

export const dicomizeCommand = (): Command =>
  withImagingOptions(new Command('dicomize'))
    .description('Write image sets of HealthImaging as DICOM files')
    .requiredOption('--datastore <id>', 'data store of the image sets')
    .option('--image-set <id>', 'one image set')
    .option('--study <uid>', 'all image sets of a study, by StudyInstanceUID')
    .option('--all', 'all image sets of the data store', false)
    .option('-o, --output <dir>', 'folder to write to: <image set>/<SOPInstanceUID>.dcm', 'dicom')
    .option('--png', 'a PNG of every frame beside its file, for looking at', false)
    .option('--level <n>', 'pictures at a lower resolution: each level halves both sides', parseLevel, 0)
    .option('--keep-stored', 'keep frames as they are stored (HTJ2K) in place of uncompressed pixels', false)
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint dicomize --datastore ID --image-set ID -o study
  $ map-endpoint dicomize --datastore ID --study 1.2.3 -o study --png --region us-east-1

Every frame is held against its checksum. Ends with 1 at the first that is damaged; each file that is there is whole.`,
    )
    .action(async (flags: DicomizeFlags) => {
      const { runDicomize } = await import('../dicomize-images.ts');
      await runDicomize(flags);
    });
