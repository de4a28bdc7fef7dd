import type { MapJson } from '../api/map-json.ts';
import { readMapJson } from '../archive/map-json-file.ts';
import { type DataFormat, readMetadata } from '../monai/bundle/metadata.ts';
import type { ClickUse } from '../monai/points.ts';
import { type BundleSupport, bundleSupport } from './bundle-support.ts';
import { formatTable } from './terminal.ts';

/** What there is to say of a bundle before anybody runs it. */
export interface BundleDescription extends BundleSupport {
  /** What a request calls it as `model`, where its archive holds several. */
  readonly model: string | undefined;
  readonly name: string | undefined;
  readonly version: string | undefined;
  /** Digest of the model's files, as answers and results name it. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly modality: string | undefined;
  readonly inputs: readonly DataFormat[];
  readonly outputs: readonly DataFormat[];
  readonly segments: readonly { readonly value: number; readonly label: string }[];
  /** Types of the results; undefined: the defaults for the kind of input. */
  readonly results: readonly string[] | undefined;
  /** True for an archive with code of its own, which says itself what it takes and gives. */
  readonly hasHandler?: true;
}

/**
 * Describes the bundle in a folder.
 *
 * @throws EndpointError `invalid_archive` (map.json), `unsupported_bundle` (metadata)
 */
export async function describeBundle(
  bundleDir: string,
  identity: Pick<BundleDescription, 'sha256' | 'sizeBytes' | 'model'>,
): Promise<BundleDescription> {
  const map = await readMapJson(bundleDir);
  const metadata = await readMetadata(bundleDir);
  return {
    name: map.name ?? metadata.name,
    version: map.version ?? metadata.version,
    ...identity,
    modality: metadata.modality,
    inputs: metadata.inputs,
    outputs: metadata.outputs,
    segments: segmentsOf(map, metadata.channelDef),
    results: map.outputs?.map(({ type }) => type),
    ...(map.tensorsOnly ? { steps: [] } : await bundleSupport(bundleDir, map.io)),
  };
}

/**
 * Describes an archive with code of its own: its name and version are all that can be told without running it.
 *
 * @throws EndpointError `invalid_archive` (map.json)
 */
export async function describeHandler(
  bundleDir: string,
  identity: Pick<BundleDescription, 'sha256' | 'sizeBytes' | 'model'>,
): Promise<BundleDescription> {
  const { name, version } = await readMapJson(bundleDir);
  const unknown = { modality: undefined, inputs: [], outputs: [], segments: [], results: undefined };
  return { name, version, ...identity, ...unknown, steps: [], hasHandler: true };
}

/** The description for people. */
export function formatDescription(bundle: BundleDescription): string[] {
  if (bundle.hasHandler) {
    return [
      ...identityLines(bundle),
      '',
      'This archive has code of its own: it is served where ALLOW_CUSTOM_CODE=true is set.',
    ];
  }
  const format = ({ key, channels }: DataFormat): string => `${key} (${channels ?? '?'} channels)`;
  const step = bundle.steps.map(({ section, target, supported, reason }) => [
    section,
    target,
    supported ? 'runs' : 'missing',
    reason ?? '',
  ]);
  return [
    ...identityLines(bundle),
    `inputs    ${bundle.inputs.map(format).join(', ')}, modality ${bundle.modality ?? 'any'}`,
    `outputs   ${bundle.outputs.map(format).join(', ')}`,
    `segments  ${bundle.segments.map(({ value, label }) => `${value} ${label}`).join(', ') || '(none named)'}`,
    ...(bundle.clicks ? [`prompts   ${formatClicks(bundle.clicks)}`] : []),
    `results   ${bundle.results?.join(', ') ?? '(the defaults: dicom-seg and json for DICOM; json of classes and of boxes)'}`,
    '',
    ...formatTable([['section', 'step', 'here', 'why'], ...step]),
    '',
    bundle.refusal === undefined ? 'This bundle can be served.' : `This bundle can't be served: ${bundle.refusal}`,
  ];
}

/** `1 point`, `0 to 1000 points labelled spleen, background`. */
function formatClicks({ labels, least, most }: ClickUse): string {
  const count = least === most ? `${least}` : `${least} to ${most}`;
  return `${count} point${most === 1 ? '' : 's'}${labels ? ` labelled ${labels.join(', ')}` : ''}`;
}

const identityLines = ({ model, name, version, sha256, sizeBytes }: BundleDescription): string[] => [
  ...(model === undefined ? [] : [`model     ${model}`]),
  `name      ${name ?? '(that of the archive)'}`,
  `version   ${version ?? '(none)'}`,
  `sha256    ${sha256}`,
  `size      ${sizeBytes} bytes`,
];

/** The segments that `map.json` names, else the channels that the metadata names besides the background. */
function segmentsOf(map: MapJson, channelDef: Readonly<Record<string, string>>): { value: number; label: string }[] {
  const named = map.outputs?.find(({ segments }) => segments !== undefined)?.segments;
  if (named) return named.map(({ value, label }) => ({ value, label }));
  return Object.entries(channelDef)
    .map(([value, label]) => ({ value: Number(value), label }))
    .filter(({ value }) => value > 0);
}
