import { type Page, pageOf } from './paging.ts';
import type { ImageSetVersion } from './records.ts';
import { validation } from './service-error.ts';
import type { SearchCriteria, SearchFilter, SearchValue } from './wire.ts';

type Sort = NonNullable<SearchCriteria['sort']>;

/**
 * SearchImageSets over the latest versions. Filters AND together. BETWEEN takes (lower, upper) of one time attribute;
 * bounds are inclusive. A study date without a time reaches over the whole day as an upper bound.
 *
 * @throws ServiceError `ValidationException`
 */
export function searchImageSets(
  imageSets: Iterable<ImageSetVersion>,
  criteria: SearchCriteria,
  page: { maxResults?: number | undefined; nextToken?: string | undefined },
): Page<ImageSetVersion> & { readonly sort: Sort } {
  const tests = (criteria.filters ?? []).map(toTest);
  const sort: Sort = criteria.sort ?? { sortField: 'updatedAt', sortOrder: 'DESC' };
  const found = [...imageSets].filter((imageSet) => tests.every((test) => test(imageSet)));
  const result = pageOf(found, {
    keyOf: (imageSet) => [sortValue(imageSet, sort.sortField), imageSet.imageSetId],
    descending: sort.sortOrder === 'DESC',
    maxResults: page.maxResults,
    nextToken: page.nextToken,
    query: [criteria, sort],
  });
  return { ...result, sort };
}

function toTest(filter: SearchFilter): (imageSet: ImageSetVersion) => boolean {
  const [first, second] = filter.values as [SearchValue, SearchValue?];
  const attribute = attributeOf(first);
  if (filter.operator === 'EQUAL') {
    if (second) throw validation('EQUAL takes one value.');
    return (imageSet) => valueEquals(imageSet, first);
  }
  if (!second || attributeOf(second) !== attribute) throw validation('BETWEEN takes two values of one attribute.');
  const bounds = [lowerBound(first), upperBound(second)] as const;
  if (typeof bounds[0] !== typeof bounds[1] || bounds[0] > bounds[1]) {
    throw validation('The lower bound of BETWEEN is above the upper one.');
  }
  return (imageSet) => {
    const value = comparable(imageSet, attribute);
    return value !== undefined && value >= bounds[0] && value <= bounds[1];
  };
}

function attributeOf(value: SearchValue): keyof SearchValue {
  return Object.keys(value).find((key) => value[key as keyof SearchValue] !== undefined) as keyof SearchValue;
}

function valueEquals(imageSet: ImageSetVersion, value: SearchValue): boolean {
  const tags = imageSet.dicomTags;
  if (value.DICOMPatientId !== undefined) return tags.DICOMPatientId === value.DICOMPatientId;
  if (value.DICOMAccessionNumber !== undefined) return tags.DICOMAccessionNumber === value.DICOMAccessionNumber;
  if (value.DICOMStudyId !== undefined) return tags.DICOMStudyId === value.DICOMStudyId;
  if (value.DICOMStudyInstanceUID !== undefined) return tags.DICOMStudyInstanceUID === value.DICOMStudyInstanceUID;
  if (value.DICOMSeriesInstanceUID !== undefined) return tags.DICOMSeriesInstanceUID === value.DICOMSeriesInstanceUID;
  if (value.isPrimary !== undefined) return imageSet.isPrimary === value.isPrimary;
  // SDKs send times with millisecond precision at most.
  if (value.createdAt !== undefined) return Math.abs(imageSet.createdAt - value.createdAt) < 0.0005;
  if (value.updatedAt !== undefined) return Math.abs(imageSet.updatedAt - value.updatedAt) < 0.0005;
  const moment = comparable(imageSet, 'DICOMStudyDateAndTime');
  return moment !== undefined && moment >= lowerBound(value) && moment <= upperBound(value);
}

const timeAttributes: readonly string[] = ['createdAt', 'updatedAt', 'DICOMStudyDateAndTime'];

/** Study date and time as text that sorts by time: `YYYYMMDDHHMMSS.FFFFFF`. */
function moment(date: string, time: string | undefined, missing: string): string {
  const [whole = '', fraction = ''] = (time ?? '').trim().replaceAll(':', '').split('.');
  const digits = whole + missing.slice(whole.length, 6);
  return `${date.trim().replaceAll('-', '')}${digits}.${fraction}${missing.slice(6 + fraction.length)}`;
}

const dayStart = '000000000000';
const dayEnd = '235959999999';

function comparable(imageSet: ImageSetVersion, attribute: keyof SearchValue): string | number | undefined {
  if (attribute === 'createdAt') return imageSet.createdAt;
  if (attribute === 'updatedAt') return imageSet.updatedAt;
  const { DICOMStudyDate, DICOMStudyTime } = imageSet.dicomTags;
  return DICOMStudyDate === undefined ? undefined : moment(DICOMStudyDate, DICOMStudyTime, dayStart);
}

function bound(value: SearchValue, missing: string): string | number {
  const attribute = attributeOf(value);
  if (!timeAttributes.includes(attribute)) throw validation(`${attribute} cannot be searched by BETWEEN.`);
  if (value.DICOMStudyDateAndTime) {
    const { DICOMStudyDate, DICOMStudyTime } = value.DICOMStudyDateAndTime;
    return moment(DICOMStudyDate, DICOMStudyTime, missing);
  }
  return (value.createdAt ?? value.updatedAt) as number;
}

const lowerBound = (value: SearchValue): string | number => bound(value, dayStart);
const upperBound = (value: SearchValue): string | number => bound(value, dayEnd);

function sortValue(imageSet: ImageSetVersion, field: Sort['sortField']): string | number {
  if (field !== 'DICOMStudyDateAndTime') return imageSet[field];
  return (comparable(imageSet, 'DICOMStudyDateAndTime') as string | undefined) ?? '';
}
