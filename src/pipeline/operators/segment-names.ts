import type { MapOutput, MapSegment } from '../../api/map-json.ts';
import { EndpointError } from '../../errors.ts';
import { codesOfName } from '../../formats/dicom/seg/anatomy.ts';
import type { BundleMetadata } from '../imaging-bundle.ts';
import type { Code, Segment } from '../segmentation.ts';

const anatomicalStructure: Code = ['123037004', 'SCT', 'Anatomical Structure'];
/** For a structure that no code is known of: it says no more than is known. */
const tissue: Code = ['85756007', 'SCT', 'Tissue'];

/**
 * The segments of a result (design §3): those of `map.json`; else the names of `channel_def`, which name labels only
 * when the last step was an argmax, and channels always.
 *
 * @param channels - channels of the result; 1 is a label map
 * @throws EndpointError `unsupported_bundle` when nothing names them
 */
export function segmentsOf(
  outputs: readonly MapOutput[] | undefined,
  metadata: BundleMetadata,
  result: { readonly channels: number; readonly fromArgmax: boolean },
): Segment[] {
  const given = outputs?.find((output) => output.segments !== undefined)?.segments;
  if (given) return given.map(fromMap);
  const named = Object.entries(metadata.channelDef)
    .map(([channel, label]) => ({ channel: Number(channel), label }))
    .filter(({ label }) => !/^back\s*ground$/i.test(label.trim()));
  const isChannelEach = result.channels > 1;
  if (!isChannelEach && !result.fromArgmax) {
    throw unnamed('The result is a label map that no argmax made, so channel_def does not name its values');
  }
  if (named.length === 0) throw unnamed('metadata.json names no channels of the output');
  if (isChannelEach && named.some(({ channel }) => channel >= result.channels)) {
    throw unnamed(`The result has ${result.channels} channels, channel_def names others`);
  }
  return named
    .sort((a, b) => a.channel - b.channel)
    .map(({ channel, label }) => fromName(isChannelEach ? channel + 1 : channel, label));
}

function fromMap(segment: MapSegment): Segment {
  const { value, label, category } = segment;
  return { value, label, category, propertyType: segment.propertyType ?? codesOfName(label)?.type ?? tissue };
}

function fromName(value: number, name: string): Segment {
  const label = name.trim().slice(0, 64) || `Segment ${value}`;
  const codes = codesOfName(name);
  return {
    value,
    label: label[0]?.toUpperCase() + label.slice(1),
    category: codes?.category ?? anatomicalStructure,
    propertyType: codes?.type ?? tissue,
  };
}

function unnamed(reason: string): EndpointError {
  return new EndpointError('unsupported_bundle', `${reason}: give "segments" in an output of map.json.`);
}
