import { describe, expect, it } from 'vitest';
import { DicomDataset } from '../../../../src/formats/dicom/dataset.ts';
import { readPart10 } from '../../../../src/formats/dicom/part10-reader.ts';
import { packBinaryFrames } from '../../../../src/formats/dicom/seg/binary-frames.ts';
import { cielabValue } from '../../../../src/formats/dicom/seg/segment-description.ts';
import { writeSegmentation } from '../../../../src/formats/dicom/seg-writer.ts';
import { tags } from '../../../../src/formats/dicom/tags.ts';
import { ballLabels, segmentationInput, testSegment } from '../../../support/segmentation-input.ts';
import { syntheticSlice, syntheticSlices } from '../../../support/synthetic-slices.ts';

const bitOf = (bits: Uint8Array, at: number) => ((bits[at >> 3] as number) >> (at & 7)) & 1;

describe('packBinaryFrames', () => {
  it('packs every voxel at its bit, frames without padding, for any type and alignment', () => {
    const shape = [7, 5, 4] as const; // 35 bits a frame
    const labels = ballLabels(...shape);
    const offset = new Uint8Array(labels.length + 1);
    offset.set(labels, 1);
    for (const data of [labels, offset.subarray(1), Uint16Array.from(labels)]) {
      const { frames, bits } = packBinaryFrames({ kind: 'labels', data }, shape, [1, 2, 5]);
      const seen = frames.map(({ segmentNumber, slice }) => `${segmentNumber}/${slice}`);
      expect(seen).toEqual([...seen].sort());
      let voxels = 0;
      frames.forEach(({ segmentNumber, slice }, frame) => {
        for (let pixel = 0; pixel < 35; pixel++) {
          const inside = labels[slice * 35 + pixel] === [1, 2, 5][segmentNumber - 1] ? 1 : 0;
          expect(bitOf(bits, frame * 35 + pixel)).toBe(inside);
          voxels += inside;
        }
      });
      expect(voxels).toBe(labels.filter((label) => label !== 0).length);
    }
  });

  it('packs masks that overlap', () => {
    const masks = [Uint8Array.of(1, 1, 0, 0), Uint8Array.of(0, 1, 1, 0)];
    const { frames, bits } = packBinaryFrames({ kind: 'masks', masks }, [2, 1, 2], [1, 2]);
    expect(frames).toEqual([
      { segmentNumber: 1, slice: 0 },
      { segmentNumber: 2, slice: 0 },
      { segmentNumber: 2, slice: 1 },
    ]);
    expect([...bits]).toEqual([0b011011]);
  });

  it('refuses labels without a segment and grids of another size', () => {
    expect(() => packBinaryFrames({ kind: 'labels', data: Uint8Array.of(0, 7) }, [2, 1, 1], [1])).toThrow(
      expect.objectContaining({ code: 'unsupported_bundle', message: expect.stringContaining('label 7') }),
    );
    expect(() => packBinaryFrames({ kind: 'labels', data: Uint8Array.of(0) }, [2, 1, 1], [1])).toThrow(/does not fill/);
    expect(() => packBinaryFrames({ kind: 'masks', masks: [] }, [2, 1, 1], [1])).toThrow(/does not fill/);
  });
});

describe('writeSegmentation', () => {
  const segments = [testSegment(1, 'One'), testSegment(2, 'Zwei ü'), testSegment(5, 'Five')];

  it('places frames on their slices, digit for digit, with patient and study of the source', () => {
    const sources = syntheticSlices(5, 7, 4);
    const labels = ballLabels(7, 5, 4);
    const written = writeSegmentation(segmentationInput(sources, { grid: { kind: 'labels', data: labels }, segments }));
    const { dataset, numberOfFrames, frame } = readPart10(written.bytes);
    expect(numberOfFrames).toBe(written.numberOfFrames);
    expect(dataset.string(tags.PatientName)).toBe('Müller^Jürgen');
    expect(dataset.string(tags.FrameOfReferenceUID)).toBe('2.25.3');
    const [shared] = dataset.items(tags.SharedFunctionalGroupsSequence);
    const [measures] = shared?.items(tags.PixelMeasuresSequence) ?? [];
    expect(measures?.strings(tags.PixelSpacing)).toEqual(['0.750', '0.5']);
    expect(measures?.string(tags.SpacingBetweenSlices)).toBe('3');
    dataset.items(tags.PerFrameFunctionalGroupsSequence).forEach((groups, index) => {
      const k = Number(groups.items(tags.PlanePositionSequence)[0]?.strings(tags.ImagePositionPatient)[2]) / 3;
      expect(groups.items(tags.PlanePositionSequence)[0]?.strings(tags.ImagePositionPatient)[0]).toBe('-10.50');
      const image = groups.items(tags.DerivationImageSequence)[0]?.items(tags.SourceImageSequence)[0];
      expect(image?.string(tags.ReferencedSOPInstanceUID)).toBe(`2.25.100${k}`);
      const number = groups
        .items(tags.SegmentIdentificationSequence)[0]
        ?.number(tags.ReferencedSegmentNumber) as number;
      const bits = frame(index);
      for (let pixel = 0; pixel < 35; pixel++) {
        expect(bitOf(bits, pixel)).toBe(labels[k * 35 + pixel] === [1, 2, 5][number - 1] ? 1 : 0);
      }
    });
  });

  it('refers to frames of a multi-frame source', () => {
    const perFrame = [0, 1].map((k) =>
      new DicomDataset()
        .set(
          tags.PlanePositionSequence,
          'SQ',
          new DicomDataset().set(tags.ImagePositionPatient, 'DS', '1', '2', String(k)),
        )
        .set(
          tags.PlaneOrientationSequence,
          'SQ',
          new DicomDataset().set(tags.ImageOrientationPatient, 'DS', ...'100010'),
        ),
    );
    const attributes = syntheticSlice(0, 1, 2).set(tags.PerFrameFunctionalGroupsSequence, 'SQ', ...perFrame);
    attributes.set(
      tags.SharedFunctionalGroupsSequence,
      'SQ',
      new DicomDataset().set(
        tags.PixelMeasuresSequence,
        'SQ',
        new DicomDataset().set(tags.PixelSpacing, 'DS', '1', '1'),
      ),
    );
    const sources = [1, 2].map((frameNumber) => ({ attributes, frameNumber }));
    const grid = { kind: 'labels', data: Uint8Array.of(0, 0, 1, 0) } as const;
    const { dataset } = readPart10(writeSegmentation(segmentationInput(sources, { grid, segments })).bytes);
    const [groups] = dataset.items(tags.PerFrameFunctionalGroupsSequence);
    const image = groups?.items(tags.DerivationImageSequence)[0]?.items(tags.SourceImageSequence)[0];
    expect(image?.string(tags.ReferencedFrameNumber)).toBe('2');
    expect(groups?.items(tags.PlanePositionSequence)[0]?.strings(tags.ImagePositionPatient)).toEqual(['1', '2', '1']);
    const [series] = dataset.items(tags.ReferencedSeriesSequence);
    expect(series?.items(tags.ReferencedInstanceSequence)).toHaveLength(1);
  });

  it('keeps an empty result a valid object and tells which segments are empty', () => {
    const grid = { kind: 'labels', data: new Uint8Array(12) } as const;
    const written = writeSegmentation(segmentationInput(syntheticSlices(2, 2, 3), { grid, segments }));
    expect([written.numberOfFrames, written.emptySegments]).toEqual([1, [1, 2, 3]]);
    expect([...readPart10(written.bytes).frame(0)]).toEqual([0]);
  });

  it('refuses sources that share no study, frame of reference, orientation or size', () => {
    const write = (change: (slice: DicomDataset) => void) => {
      const sources = syntheticSlices(2, 2, 2);
      change((sources[1] as (typeof sources)[number]).attributes);
      return writeSegmentation(
        segmentationInput(sources, { grid: { kind: 'labels', data: new Uint8Array(8) }, segments }),
      );
    };
    expect(() => write((slice) => slice.set(tags.StudyInstanceUID, 'UI', '9'))).toThrow(/StudyInstanceUID/);
    expect(() => write((slice) => slice.delete(tags.FrameOfReferenceUID))).toThrow(/FrameOfReferenceUID/);
    expect(() => write((slice) => slice.set(tags.ImageOrientationPatient, 'DS', ...'010100'))).toThrow(/orientation/);
    expect(() => write((slice) => slice.delete(tags.SOPInstanceUID))).toThrow(/lacks a UID/);
    expect(() => write((slice) => slice.set(tags.Rows, 'US', 3))).toThrow(/another size/);
    expect(() => write((slice) => slice.set(tags.ImagePositionPatient, 'DS', 'x', '1', '2'))).toThrow(
      /ImagePositionPatient/,
    );
  });
});

describe('cielabValue', () => {
  it('scales white, black and red as PS3.3 C.10.7.1.1 says', () => {
    expect(cielabValue([0, 0, 0])).toEqual([0, 32896, 32896]);
    const [lightness, a, b] = cielabValue([255, 255, 255]);
    expect(lightness).toBeGreaterThan(65_500);
    expect(Math.abs(a - 32896) + Math.abs(b - 32896)).toBeLessThan(100);
    // sRGB red is about L 54, a 81, b 70 under D50.
    const red = cielabValue([255, 0, 0]).map((value, at) =>
      at === 0 ? (value * 100) / 65_535 : (value * 255) / 65_535 - 128,
    );
    expect(red.map(Math.round)).toEqual([54, 81, 70]);
  });
});
