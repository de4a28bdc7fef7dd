import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { LRUCache } from 'lru-cache';
import type { Catalog } from '../catalog.ts';
import type { ImageSetFiles } from '../image-set-files.ts';
import type { InstanceNode, MetadataDocument } from '../metadata/document.ts';
import type { ImageSetVersion } from '../records.ts';
import { notFound } from '../service-error.ts';
import type { InstanceAttributes } from './attributes.ts';

const inflate = promisify(gunzip);
/** Documents kept in memory, by the length of their JSON. */
const documentCacheBytes = 48 * 1024 * 1024;

/** An instance with the image set that holds it. */
export interface FoundInstance extends InstanceAttributes {
  readonly imageSet: ImageSetVersion;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopInstanceUid: string;
  readonly node: InstanceNode;
}

/** UIDs of a DICOMweb path; what is missing means all. */
export interface DicomPath {
  readonly datastoreId: string;
  readonly study?: string | undefined;
  readonly series?: string | undefined;
  readonly instance?: string | undefined;
  /** Query parameter `imageSetId`: this image set, primary or not. */
  readonly imageSetId?: string | undefined;
}

/** Finds studies, series and instances in the primary image sets of a data store, or in one that is named. */
export class ImageSetIndex {
  readonly #catalog: Catalog;
  readonly #files: ImageSetFiles;
  readonly #documents = new LRUCache<string, MetadataDocument>({ maxSize: documentCacheBytes });

  constructor(catalog: Catalog, files: ImageSetFiles) {
    this.#catalog = catalog;
    this.#files = files;
  }

  /** Image sets of a path, newest first. */
  imageSets({ datastoreId, study, series, imageSetId }: DicomPath): ImageSetVersion[] {
    const candidates =
      imageSetId === undefined
        ? [...this.#catalog.datastore(datastoreId).imageSets.values()].filter(({ isPrimary }) => isPrimary)
        : [this.#catalog.imageSet(datastoreId, imageSetId)];
    return candidates
      .filter(({ dicomTags }) => study === undefined || dicomTags.DICOMStudyInstanceUID === study)
      .filter(({ dicomTags }) => series === undefined || dicomTags.DICOMSeriesInstanceUID === series)
      .sort((a, b) => b.updatedAt - a.updatedAt);
  }

  /**
   * Instances of a path, series by series.
   *
   * @throws ServiceError `ResourceNotFoundException` when there is none
   */
  async *instances(path: DicomPath): AsyncGenerator<FoundInstance> {
    let found = 0;
    for (const imageSet of this.imageSets(path)) {
      const document = await this.document(imageSet);
      for (const [seriesUid, series] of Object.entries(document.Study.Series)) {
        for (const [sopInstanceUid, node] of Object.entries(series.Instances)) {
          if (path.instance !== undefined && path.instance !== sopInstanceUid) continue;
          found += 1;
          yield {
            imageSet,
            studyUid: imageSet.dicomTags.DICOMStudyInstanceUID ?? '',
            seriesUid,
            sopInstanceUid,
            node,
            attributes: { ...document.Patient.DICOM, ...document.Study.DICOM, ...series.DICOM, ...node.DICOM },
            vrs: node.DICOMVRs,
          };
        }
      }
    }
    if (found === 0) throw notFound('The data store has no such study, series or instance in a primary image set.');
  }

  /** The one instance of a whole path. */
  async instance(path: DicomPath): Promise<FoundInstance> {
    for await (const instance of this.instances(path)) return instance;
    throw notFound('The data store has no such instance.');
  }

  /** Attributes of an image set's first instance, for what holds for the whole series and study. */
  async attributes(imageSet: ImageSetVersion): Promise<InstanceAttributes> {
    const document = await this.document(imageSet);
    const [series] = Object.values(document.Study.Series);
    const [node] = Object.values(series?.Instances ?? {});
    return {
      attributes: { ...document.Patient.DICOM, ...document.Study.DICOM, ...series?.DICOM, ...node?.DICOM },
      vrs: node?.DICOMVRs ?? {},
    };
  }

  async document({ datastoreId, imageSetId, version }: ImageSetVersion): Promise<MetadataDocument> {
    const key = `${imageSetId} ${version}`;
    const cached = this.#documents.get(key);
    if (cached) return cached;
    const text = (await inflate(await this.#files.metadata(datastoreId, imageSetId, version))).toString('utf8');
    const document = JSON.parse(text) as MetadataDocument;
    this.#documents.set(key, document, { size: text.length + 1 });
    return document;
  }
}
