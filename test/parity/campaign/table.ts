import type { CampaignRow } from './campaign.ts';
import { limits } from './compare.ts';

/** What the head of the table tells. */
export interface TableHead {
  readonly date: string;
  readonly commit: string;
  /** See digest.ts. */
  readonly digest: string;
}

const columns = ['bundle', 'image', 'preprocessed', 'worst', '> 1e-4', 'labels', 'Dice', 'small', 'equal', 'verdict'];

/** The campaign's result as Markdown. */
export function formatTable(rows: readonly CampaignRow[], head: TableHead, planned: readonly string[]): string {
  const bundles = new Set(rows.map(({ bundle }) => bundle));
  const refused = new Set(rows.filter(({ image, refused }) => image === '(none)' && refused).map((row) => row.bundle));
  const failed = rows.filter(({ faults }) => faults.length > 0);
  const missing = planned.filter((name) => !bundles.has(name));
  const unjudged = rows.filter(({ refused, judgedBy }) => refused !== undefined || judgedBy !== undefined);
  const equal = rows.length - failed.length - unjudged.length;
  return `# Parity with MONAI

Written by \`npm run campaign:parity\` ([CONTRIBUTING.md](../CONTRIBUTING.md)); don't edit it. Every bundle of MONAI's model zoo,
on real images and on turned, oblique, anisotropic and cropped copies of them, against
MONAI 1.6.1 itself. The networks of the zoo's bundles are small fixed stubs with the bundle's channels (the same ONNX file on both
sides); those of \`spleen_ct_demo\`, \`spleen_ct_full\` and \`brain_tissue_mr\` are real.

Must hold: shapes equal, affines equal in single precision; the preprocessed image within ${limits.worst} everywhere and within 1e-4 in ${100 - 100 * limits.beyond} % of
its voxels; Dice at least ${limits.dice} for each label of at least ${limits.bigVoxels} voxels (or mask, where channels are masks), at most ${limits.smallVoxels} voxels
different for each smaller one; at least ${100 * limits.equal} % of the voxels labelled equally. Results that are no labels must be as close as the
preprocessed image.

- date: ${head.date}
- commit: ${head.commit} and what was not committed then
- digest of the code: ${head.digest}
- ${bundles.size - refused.size} of ${bundles.size} bundles run; ${equal} pairs of bundle and image are equal, ${failed.length} are not
- not run yet: ${missing.join(', ') || 'none'}

| ${columns.join(' | ')} |
|---|---|---|---:|---:|---:|---:|---:|---:|---|
${rows.map(formatRow).join('\n')}

- preprocessed: shape of the image that the network gets; worst: largest difference to MONAI's; > 1e-4: part of its voxels that differ by more.
- labels: how many the result has; Dice: the worst of those of at least ${limits.bigVoxels} voxels; small: most voxels that differ in a smaller one;
  equal: part of the voxels with equal labels. A result of floats shows its largest difference in their place.
`;
}

function formatRow(row: CampaignRow): string {
  const { preprocessed, labels, floats, shape = [] } = row;
  const cells = [
    row.bundle,
    row.image,
    shape.join('×'),
    numberOf(preprocessed?.worst, (value) => value.toExponential(1)),
    numberOf(preprocessed?.beyond, percent),
    labels ? String(labels.labels) : numberOf(floats?.worst, (value) => `floats: ${value.toExponential(1)}`),
    numberOf(labels?.worstDice, (value) => floored(value, 5)),
    numberOf(labels?.worstSmall, String),
    numberOf(labels?.equal, percentEqual),
    row.refused !== undefined
      ? `refused: ${row.refused}`
      : row.judgedBy !== undefined
        ? `equal in ${row.judgedBy}`
        : row.faults.length > 0
          ? `**${row.faults.join('; ')}**`
          : 'equal',
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
}

/** A figure; nothing where there is none: kept rows hold null for what is no number. */
const numberOf = (value: number | null | undefined, format: (value: number) => string): string =>
  typeof value !== 'number' || Number.isNaN(value) ? '' : format(value);

const percent = (part: number): string => `${(100 * part).toFixed(3)} %`;

/** Never rounded up: 100 % means all. */
const floored = (value: number, digits: number): string =>
  (Math.floor(value * 10 ** digits) / 10 ** digits).toFixed(digits);

const percentEqual = (part: number): string => `${floored(100 * part, 4)} %`;
