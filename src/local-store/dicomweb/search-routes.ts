import type { Request, Response, Router } from 'express';
import { tagOf } from '../../formats/dicom/dictionary.ts';
import { operation } from '../http/respond.ts';
import type { JsonValue } from '../import/outcome.ts';
import type { ImageSetVersion } from '../records.ts';
import type { InstanceAttributes } from './attributes.ts';
import { type DicomJson, dicomJson, element } from './dicom-json.ts';
import type { FoundInstance, ImageSetIndex } from './image-set-index.ts';
import { acceptedWays } from './media-types.ts';
import { pathOf, serviceUrl } from './path.ts';
import { matchesValue, parseSearchQuery, type SearchQuery } from './search-query.ts';

/** Attributes of every answer (PS3.18 tables 10.6.3-3 to -5), where the image set has them. */
const studyKeywords = [
  'SpecificCharacterSet StudyDate StudyTime AccessionNumber ReferringPhysicianName StudyDescription PatientName',
  'PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID',
].flatMap((line) => line.split(' '));
const seriesKeywords = [
  'Modality SeriesDate SeriesTime SeriesDescription BodyPartExamined StudyInstanceUID SeriesInstanceUID SeriesNumber',
  'PerformedProcedureStepStartDate PerformedProcedureStepStartTime',
].flatMap((line) => line.split(' '));
const instanceKeywords = [
  'SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID InstanceNumber Rows Columns BitsAllocated',
  'NumberOfFrames',
].flatMap((line) => line.split(' '));

type Level = 'study' | 'series' | 'instance';
const tagsOf = (keywords: readonly string[]) => new Set(keywords.map((keyword) => tagOf(keyword) ?? 0));
const defaultTags: Readonly<Record<Level, ReadonlySet<number>>> = {
  study: tagsOf(studyKeywords),
  series: tagsOf(seriesKeywords),
  instance: tagsOf(instanceKeywords),
};

/** A study or series with the image sets that make it up: one a series. */
interface Group {
  readonly imageSets: readonly ImageSetVersion[];
  readonly context: InstanceAttributes;
}

/** QIDO-RS: studies by last update, series by SeriesNumber, instances by InstanceNumber. */
export function addSearchRoutes(router: Router, index: ImageSetIndex): void {
  const search = (path: string, find: (request: Request, query: SearchQuery) => Promise<DicomJson[]>) => {
    router.get(
      path,
      operation(async (request: Request, response: Response) => {
        acceptedWays(request.get('accept'), ['application/dicom+json', 'application/json']);
        const query = parseSearchQuery(request.query);
        const found = await find(request, query);
        response
          .status(200)
          .type('application/dicom+json')
          .send(Buffer.from(JSON.stringify(found)));
      }),
    );
  };
  const series = async (request: Request, query: SearchQuery) => {
    const groups = await groupsOf(index.imageSets(pathOf(request)), index, ({ imageSetId }) => imageSetId);
    groups.sort((a, b) => seriesNumber(a) - seriesNumber(b));
    return page(groups, query, (group) => seriesJson(group, query, serviceUrl(request)));
  };
  const instances = async (request: Request, query: SearchQuery) => {
    const path = pathOf(request);
    const found: FoundInstance[] = [];
    if (index.imageSets(path).length > 0) for await (const instance of index.instances(path)) found.push(instance);
    found.sort((a, b) => numberOf(a.attributes.InstanceNumber) - numberOf(b.attributes.InstanceNumber));
    return page(
      found.map((instance) => ({ imageSets: [instance.imageSet], context: instance })),
      query,
      (group) => instanceJson(group.context as FoundInstance, query, serviceUrl(request)),
    );
  };
  search('/datastore/:datastoreId/studies', async (request, query) => {
    const groups = await groupsOf(
      index.imageSets(pathOf(request)),
      index,
      ({ dicomTags }) => dicomTags.DICOMStudyInstanceUID ?? '',
    );
    return page(groups, query, (group) => studyJson(group, query, serviceUrl(request)));
  });
  search('/datastore/:datastoreId/series', series);
  search('/datastore/:datastoreId/instances', instances);
  search('/datastore/:datastoreId/studies/:study/series', series);
  search('/datastore/:datastoreId/studies/:study/instances', instances);
  search('/datastore/:datastoreId/studies/:study/series/:series/instances', instances);
}

/** Groups image sets, in their order; the attributes are those of the first instance of the first one. */
async function groupsOf(
  imageSets: readonly ImageSetVersion[],
  index: ImageSetIndex,
  keyOf: (imageSet: ImageSetVersion) => string,
): Promise<Group[]> {
  const groups = new Map<string, ImageSetVersion[]>();
  for (const imageSet of imageSets) {
    const group = groups.get(keyOf(imageSet));
    if (group) group.push(imageSet);
    else groups.set(keyOf(imageSet), [imageSet]);
  }
  return Promise.all(
    [...groups.values()].map(async (members) => ({
      imageSets: members,
      context: await index.attributes(members[0] as ImageSetVersion),
    })),
  );
}

async function page(
  groups: readonly Group[],
  query: SearchQuery,
  toJson: (group: Group) => DicomJson,
): Promise<DicomJson[]> {
  const found = groups.filter((group) =>
    [...query.matches].every(([keyword, wanted]) =>
      matchesValue(keyword, textsOf(group, keyword), wanted, query.fuzzy),
    ),
  );
  return found.slice(query.offset, query.offset + query.limit).map(toJson);
}

function textsOf({ imageSets, context }: Group, keyword: string): string[] {
  if (keyword === 'ModalitiesInStudy') return modalities(imageSets);
  const value: JsonValue | undefined = context.attributes[keyword];
  return [value ?? []].flat().map((one) => String(one).trim());
}

const modalities = (imageSets: readonly ImageSetVersion[]): string[] => [
  ...new Set(imageSets.map(({ dicomTags }) => dicomTags.DICOMSeriesModality).filter((name) => name !== undefined)),
];

const instanceCount = (imageSets: readonly ImageSetVersion[]): number =>
  imageSets.reduce((sum, { dicomTags }) => sum + (dicomTags.DICOMNumberOfStudyRelatedInstances ?? 0), 0);

/** @param levels - whose attributes are given: those of the resource and the ones above it */
function chosenJson(context: InstanceAttributes, query: SearchQuery, level: Level): DicomJson {
  const { include, matches } = query;
  const matched = tagsOf([...matches.keys()]);
  return dicomJson(context, (tag) => {
    if (defaultTags[level].has(tag) || matched.has(tag)) return true;
    return include === 'all' || include.has(tag);
  });
}

function studyJson({ imageSets, context }: Group, query: SearchQuery, url: string): DicomJson {
  return sorted({
    ...chosenJson(context, query, 'study'),
    '00080056': element('CS', 'ONLINE'),
    '00080061': element('CS', ...modalities(imageSets)),
    '00081190': element('UR', `${url}/studies/${context.attributes.StudyInstanceUID}`),
    '00201206': element('IS', String(imageSets.length)),
    '00201208': element('IS', String(instanceCount(imageSets))),
  });
}

function seriesJson({ imageSets, context }: Group, query: SearchQuery, url: string): DicomJson {
  const { StudyInstanceUID, SeriesInstanceUID } = context.attributes;
  return sorted({
    ...chosenJson(context, query, 'series'),
    '00081190': element('UR', `${url}/studies/${StudyInstanceUID}/series/${SeriesInstanceUID}`),
    '00201209': element('IS', String(instanceCount(imageSets))),
  });
}

function instanceJson(instance: FoundInstance, query: SearchQuery, url: string): DicomJson {
  const { studyUid, seriesUid, sopInstanceUid } = instance;
  return sorted({
    ...chosenJson(instance, query, 'instance'),
    '00080056': element('CS', 'ONLINE'),
    '00081190': element('UR', `${url}/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}`),
  });
}

const sorted = (json: DicomJson): DicomJson =>
  Object.fromEntries(Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1)));

const numberOf = (value: JsonValue | undefined): number => Number.parseInt(String(value ?? ''), 10) || 0;
const seriesNumber = ({ context }: Group): number => numberOf(context.attributes.SeriesNumber);
