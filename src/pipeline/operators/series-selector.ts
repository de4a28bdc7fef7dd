import type { SourceSeries } from '../../connectors/image-source.ts';
import { EndpointError } from '../../errors.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { LoadedImages } from './dicom-data-loader.ts';
import type { CompiledSelection } from './series-rules.ts';

/** What a metadata.json may call a modality → the DICOM codes it can mean (PS3.3 C.7.3.1.1.1). */
const modalityCodes: Readonly<Record<string, readonly string[]>> = {
  ct: ['CT'],
  mr: ['MR'],
  mri: ['MR'],
  magnetic: ['MR'],
  pet: ['PT'],
  pt: ['PT'],
  mammogram: ['MG'],
  mammography: ['MG'],
  mg: ['MG'],
  us: ['US'],
  ultrasound: ['US'],
  x: ['CR', 'DX'],
  xray: ['CR', 'DX'],
  cxr: ['CR', 'DX'],
  cr: ['CR', 'DX'],
  dx: ['CR', 'DX'],
};

/** Objects that say something about images instead of being one. */
const notImages = new Set([
  'SEG',
  'SR',
  'PR',
  'KO',
  'RTSTRUCT',
  'RTPLAN',
  'RTRECORD',
  'REG',
  'DOC',
  'FID',
  'RWV',
  'PLAN',
  'AU',
]);

export interface SeriesSelectorOptions {
  /** Rules of map.json; without them the metadata's modality decides. */
  readonly selections?: readonly CompiledSelection[] | undefined;
  /** `modality` of the bundle's metadata. */
  readonly modality?: string | undefined;
  /** A series that the request names itself. */
  readonly isRequested: boolean;
  /** How many images the bundle takes beside a single one. */
  readonly imagesPerRun?: number | undefined;
}

/** A series and the name of the selection that chose it. */
export interface NamedSeries {
  readonly name: string;
  readonly series: SourceSeries;
}

/** The image that the network is to see: series, of which results go to `series`, the first of `all`, or volumes as they came. */
export type SelectedImage =
  | { readonly kind: 'dicom'; readonly series: SourceSeries; readonly all?: readonly NamedSeries[] }
  | Extract<LoadedImages, { kind: 'volume' }>;

/**
 * Picks the series for the network (`DICOMSeriesSelectorOperator`).
 *
 * @throws EndpointError `unprocessable_image` when none fits, or more than one does without rules; the series are listed
 */
export class SeriesSelector implements Operator<{ images: LoadedImages }, { selected: SelectedImage }> {
  readonly name = 'series_selector';
  readonly #options: SeriesSelectorOptions;

  constructor(options: SeriesSelectorOptions) {
    this.#options = options;
  }

  async compute(
    { images }: { images: LoadedImages },
    _context: ExecutionContext,
  ): Promise<{ selected: SelectedImage }> {
    const { selections, imagesPerRun = 1 } = this.#options;
    if (images.kind === 'volume') {
      const count = images.volumes.length;
      const isOneEach = images.byInput.length === imagesPerRun;
      if (count === 1 || count === imagesPerRun || isOneEach) return { selected: images };
      throw new EndpointError(
        'unprocessable_image',
        `The input holds ${count} images or channels; the model takes ${imagesPerRun}.`,
      );
    }
    const ordered = inOrder(images.series);
    if (selections && selections.length > 1 && imagesPerRun > 1) {
      const all = selectEach(ordered, selections, imagesPerRun);
      return { selected: { kind: 'dicom', series: (all[0] as NamedSeries).series, all } };
    }
    const series = selections ? selectByRules(ordered, selections) : this.#selectByModality(ordered);
    return { selected: { kind: 'dicom', series } };
  }

  #selectByModality(ordered: readonly SourceSeries[]): SourceSeries {
    const wanted = this.#options.modality === undefined ? undefined : modalityCodes[normalized(this.#options.modality)];
    const fitting = ordered.filter((series) => {
      const modality = first(series).string(tags.Modality) ?? '';
      return wanted ? wanted.includes(modality) : !notImages.has(modality);
    });
    // Of a series that the request names, the caller knows that it is the right one.
    const images = this.#options.isRequested ? fitting : fitting.filter((series) => !isLocalizerOrReformat(series));
    if (images.length === 1) return images[0] as SourceSeries;
    const reason =
      images.length === 0
        ? `No series of the input fits the model${wanted ? ` (modality ${wanted.join(' or ')}, no localizer or reformat)` : ''}.`
        : `${images.length} series of the input fit the model. Name one by "seriesInstanceUid", or give map.json series rules.`;
    throw notOne(reason, images.length === 0 ? ordered : images);
  }
}

/** By SeriesNumber, those without one last, then by UID. */
function inOrder(series: readonly SourceSeries[]): SourceSeries[] {
  const numberOf = (one: SourceSeries) => first(one).number(tags.SeriesNumber) ?? Number.POSITIVE_INFINITY;
  return series
    .filter((one) => one.instances.length > 0)
    .sort((a, b) => {
      const [left, right] = [numberOf(a), numberOf(b)];
      if (left !== right) return left < right ? -1 : 1;
      return a.seriesInstanceUid < b.seriesInstanceUid ? -1 : 1;
    });
}

/** Each selection gives the first series that fits it, in order. One image input takes one series. */
function selectByRules(ordered: readonly SourceSeries[], selections: readonly CompiledSelection[]): SourceSeries {
  const selected = new Map<string, SourceSeries>();
  for (const selection of selections) {
    const found = ordered.find((series) => selection.matches(first(series)));
    if (found) selected.set(found.seriesInstanceUid, found);
  }
  if (selected.size === 1) return [...selected.values()][0] as SourceSeries;
  if (selected.size === 0) throw notOne('No series of the input fulfils the series rules of map.json.', ordered);
  throw notOne('The series rules of map.json select several series; a model with one image input takes one.', [
    ...selected.values(),
  ]);
}

/** One series for each selection, in the order of the selections, for a model that takes as many. */
function selectEach(
  ordered: readonly SourceSeries[],
  selections: readonly CompiledSelection[],
  count: number,
): NamedSeries[] {
  const all = selections.map((selection, n) => {
    const series = ordered.find((candidate) => selection.matches(first(candidate)));
    if (!series) throw notOne(`No series fulfils the rule ${describeRule(selection, n)} of map.json.`, ordered);
    return { name: selection.name, series };
  });
  const uids = new Map<string, number>();
  for (const [n, { series }] of all.entries()) {
    const other = uids.get(series.seriesInstanceUid);
    if (other !== undefined) {
      const rules = [other, n].map((at) => describeRule(selections[at] as CompiledSelection, at));
      throw notOne(`The rules ${rules.join(' and ')} of map.json select the same series.`, [series]);
    }
    uids.set(series.seriesInstanceUid, n);
  }
  if (all.length === count) return all;
  const reason = `map.json has rules for ${all.length} series; the model takes ${count}.`;
  throw notOne(
    reason,
    all.map(({ series }) => series),
  );
}

const describeRule = ({ name }: CompiledSelection, n: number): string => (name === '' ? `${n + 1}` : `'${name}'`);

/** Scouts, and images computed from others: their geometry is not the scan's (ImageType, PS3.3 C.7.6.1.1.2). */
function isLocalizerOrReformat(series: SourceSeries): boolean {
  const types = first(series)
    .strings(tags.ImageType)
    .map((type) => type.toUpperCase());
  if (types.includes('LOCALIZER')) return true;
  const reformats = [
    'REFORMATTED',
    'MPR',
    'MIP',
    'MINIP',
    'PROJECTION IMAGE',
    'CSA MIP',
    'CSA MPR',
    'VOLUME RENDERING',
    'SCREEN SAVE',
  ];
  return types[0] === 'DERIVED' && types.some((type) => reformats.includes(type) || /\b(MPR|MIP)\b/.test(type));
}

const first = (series: SourceSeries) => (series.instances[0] as SourceSeries['instances'][number]).attributes;

const normalized = (modality: string): string => modality.toLowerCase().split(/[^a-z]+/)[0] ?? '';

function notOne(reason: string, series: readonly SourceSeries[]): EndpointError {
  const listed = series.slice(0, 50).map((one) => ({
    seriesInstanceUid: one.seriesInstanceUid,
    modality: first(one).string(tags.Modality) ?? null,
    instances: one.instances.length,
  }));
  const uids = listed.slice(0, 10).map((one) => one.seriesInstanceUid);
  return new EndpointError('unprocessable_image', `${reason} Series: ${uids.join(', ')}.`, {
    details: { series: listed },
  });
}
