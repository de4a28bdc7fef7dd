import { codesOfName } from '../formats/dicom/seg/anatomy.ts';
import type { BundleMetadata } from '../monai/bundle/metadata.ts';

/** What is known of the form of a bundle's result. */
export interface ResultForm {
  /** Channels of the result: 1 is a label map, more are masks. */
  readonly channels: number;
  readonly fromArgmax: boolean;
}

type Code = readonly [value: string, scheme: string, meaning: string];

/** A segment as `map.json` writes it. */
export interface DerivedSegment {
  readonly value: number;
  readonly label: string;
  readonly category: Code;
  readonly propertyType: Code;
}

/** The part of `map.json` that can be derived. */
export interface DerivedMap {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly outputs: readonly [
    { readonly type: 'dicom-seg'; readonly segments: readonly DerivedSegment[] },
    { readonly type: 'json' },
  ];
}

const anatomical: Code = ['123037004', 'SCT', 'Anatomical Structure'];
const tissue: Code = ['85756007', 'SCT', 'Tissue'];

/**
 * Derives `map.json` from the metadata: a segment for each named channel besides the background, with the codes of
 * its name where they are known.
 *
 * @returns undefined where nothing names the values: no `channel_def`, or a label map that is no channel number
 */
export function deriveMap(metadata: BundleMetadata, form: ResultForm): DerivedMap | undefined {
  const isMasks = form.channels > 1;
  if (!isMasks && !form.fromArgmax) return undefined;
  const segments = Object.entries(metadata.channelDef)
    .map(([channel, name]) => ({ channel: Number(channel), name: name.trim() }))
    .filter(({ name, channel }) => !/^back\s*ground$/i.test(name) && (!isMasks || channel < form.channels))
    .sort((a, b) => a.channel - b.channel)
    .map(({ channel, name }): DerivedSegment => {
      const codes = codesOfName(name);
      const value = isMasks ? channel + 1 : channel;
      const label = labelOf(name) || `Segment ${value}`;
      return { value, label, category: codes?.category ?? anatomical, propertyType: codes?.type ?? tissue };
    })
    .filter(({ value }) => value > 0);
  if (segments.length === 0) return undefined;
  const { name, version } = metadata;
  return {
    ...(name === undefined ? {} : { name: name.slice(0, 64) }),
    ...(version === undefined ? {} : { version }),
    outputs: [{ type: 'dicom-seg', segments }, { type: 'json' }],
  };
}

/** `kidney_left` → `Kidney left`. */
function labelOf(name: string): string {
  const words = name.replaceAll('_', ' ').slice(0, 64).trim();
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}
