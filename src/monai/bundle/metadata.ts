import { z } from 'zod';
import { readFirstOf } from './config-file.ts';
import type { ConfigNode } from './config-value.ts';
import { unsupported } from './unsupported.ts';

const channelDefinition = z.record(z.string().regex(/^\d{1,4}$/), z.string().max(200));
const dataFormat = z.object({
  type: z.string().optional(),
  modality: z.string().max(64).optional(),
  num_channels: z.number().int().nonnegative().optional(),
  channel_def: channelDefinition.optional(),
  // Only told and compared when a bundle is packed: of another form they are as good as absent.
  spatial_shape: z
    .array(z.union([z.number(), z.string().max(64)]))
    .max(8)
    .optional()
    .catch(undefined),
  dtype: z.string().max(32).optional().catch(undefined),
});
const document = z.object({
  name: z.string().max(200).optional(),
  version: z.union([z.string().max(64), z.number()]).optional(),
  network_data_format: z
    .object({ inputs: z.record(z.string(), dataFormat), outputs: z.record(z.string(), dataFormat) })
    .partial()
    .optional(),
});

/** An input or output of the network as `metadata.json` describes it. */
export interface DataFormat {
  readonly key: string;
  readonly channels?: number | undefined;
  readonly channelDef: Readonly<Record<string, string>>;
  /** Axes of space: numbers, or formulas such as `8*n`. */
  readonly spatialShape?: readonly (number | string)[] | undefined;
  readonly dtype?: string | undefined;
}

/** What is known of a bundle from `configs/metadata.json`. */
export interface BundleMetadata {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  /** `modality` of the image input, as written there. */
  readonly modality?: string | undefined;
  /** `channel_def` of the output: channel number → name. */
  readonly channelDef: Readonly<Record<string, string>>;
  readonly inputs: readonly DataFormat[];
  readonly outputs: readonly DataFormat[];
}

const file = 'configs/metadata.json';

/**
 * Reads `configs/metadata.json` of a bundle.
 *
 * @throws EndpointError `unsupported_bundle`: missing, or a field that we need has another form
 */
export async function readMetadata(dir: string): Promise<BundleMetadata> {
  const found = await readFirstOf(dir, [file]);
  if (!found) throw unsupported('The bundle has no metadata.', { file, place: '' });
  const parsed = document.safeParse(toPlain(found.root));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw unsupported(`The metadata is malformed: ${issue?.message}.`, { file, place: issue?.path.join('#') ?? '' });
  }
  const { name, version, network_data_format: format } = parsed.data;
  const formats = (entries: Record<string, z.infer<typeof dataFormat>> | undefined): DataFormat[] =>
    Object.entries(entries ?? {}).map(([key, entry]) => ({
      key,
      channels: entry.num_channels,
      channelDef: entry.channel_def ?? {},
      spatialShape: entry.spatial_shape,
      dtype: entry.dtype,
    }));
  const inputs = Object.values(format?.inputs ?? {});
  const outputs = formats(format?.outputs);
  return {
    name,
    version: version === undefined ? undefined : String(version),
    modality: (inputs.find((input) => input.type === 'image') ?? inputs[0])?.modality,
    channelDef: outputs[0]?.channelDef ?? {},
    inputs: formats(format?.inputs),
    outputs,
  };
}

/** Plain objects without a prototype: a key `__proto__` stays a key. */
function toPlain(node: ConfigNode): unknown {
  if (Array.isArray(node)) return node.map((child) => toPlain(child as ConfigNode));
  if (!(node instanceof Map)) return node;
  const plain = Object.create(null) as Record<string, unknown>;
  for (const [key, child] of node) plain[key] = toPlain(child as ConfigNode);
  return plain;
}
