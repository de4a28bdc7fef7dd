import type { MapJson } from '../api/map-json.ts';
import { readMapJson } from '../archive/map-json-file.ts';
import { type DataFormat, readMetadata } from '../monai/bundle/metadata.ts';
import { type BundleSupport, bundleSupport } from './bundle-support.ts';
import { formatTable } from './terminal.ts';

/** What there is to say of a bundle before anybody runs it. */
export interface BundleDescription extends BundleSupport {
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
}

/**
 * Describes the bundle in a folder.
 *
 * @throws EndpointError `invalid_archive` (map.json), `unsupported_bundle` (metadata)
 */
export async function describeBundle(
  bundleDir: string,
  identity: { sha256: string; sizeBytes: number },
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

/** The description for people. */
export function formatDescription(bundle: BundleDescription): string[] {
  const format = ({ key, channels }: DataFormat): string => `${key} (${channels ?? '?'} channels)`;
  const step = bundle.steps.map(({ section, target, supported, reason }) => [
    section,
    target,
    supported ? 'runs' : 'missing',
    reason ?? '',
  ]);
  return [
    `name      ${bundle.name ?? '(that of the archive)'}`,
    `version   ${bundle.version ?? '(none)'}`,
    `sha256    ${bundle.sha256}`,
    `size      ${bundle.sizeBytes} bytes`,
    `inputs    ${bundle.inputs.map(format).join(', ')}, modality ${bundle.modality ?? 'any'}`,
    `outputs   ${bundle.outputs.map(format).join(', ')}`,
    `segments  ${bundle.segments.map(({ value, label }) => `${value} ${label}`).join(', ') || '(none named)'}`,
    `results   ${bundle.results?.join(', ') ?? '(the defaults: dicom-seg and json for DICOM)'}`,
    '',
    ...formatTable([['section', 'step', 'here', 'why'], ...step]),
    '',
    bundle.refusal === undefined ? 'This bundle can be served.' : `This bundle can't be served: ${bundle.refusal}`,
  ];
}

/** The segments that `map.json` names, else the channels that the metadata names besides the background. */
function segmentsOf(map: MapJson, channelDef: Readonly<Record<string, string>>): { value: number; label: string }[] {
  const named = map.outputs?.find(({ segments }) => segments !== undefined)?.segments;
  if (named) return named.map(({ value, label }) => ({ value, label }));
  return Object.entries(channelDef)
    .map(([value, label]) => ({ value: Number(value), label }))
    .filter(({ value }) => value > 0);
}
