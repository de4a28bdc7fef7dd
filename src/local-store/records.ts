/** What the store keeps about its resources, as JSON files. Times are epoch seconds with a fraction, as on the wire. */

export type DatastoreStatus = 'CREATING' | 'CREATE_FAILED' | 'ACTIVE' | 'DELETING' | 'DELETED';
export type LosslessStorageFormat = 'HTJ2K' | 'JPEG_2000_LOSSLESS';

/** `datastores/{id}/datastore.json` */
export interface DatastoreRecord {
  readonly datastoreId: string;
  readonly datastoreName: string;
  readonly datastoreStatus: DatastoreStatus;
  readonly losslessStorageFormat: LosslessStorageFormat;
  readonly kmsKeyArn?: string | undefined;
  readonly lambdaAuthorizerArn?: string | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly imageSetTags: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Makes a repeated call find what the first one made. */
  readonly clientToken: string;
  readonly requestDigest: string;
}

export type JobStatus = 'SUBMITTED' | 'IN_PROGRESS' | 'COMPLETED' | 'FAILED';

/** `datastores/{id}/jobs/{jobId}.json` */
export interface ImportJobRecord {
  readonly jobId: string;
  readonly jobName: string;
  readonly jobStatus: JobStatus;
  readonly datastoreId: string;
  readonly dataAccessRoleArn: string;
  readonly inputS3Uri: string;
  readonly outputS3Uri: string;
  readonly submittedAt: number;
  readonly endedAt?: number | undefined;
  readonly message?: string | undefined;
  readonly clientToken: string;
  readonly requestDigest: string;
  /** How often a process began it: one that ends its process each time is given up. */
  readonly attempts: number;
}

/** The search summary's view of an image set's DICOM attributes (wire names). */
export interface DicomTags {
  readonly DICOMPatientId?: string;
  readonly DICOMPatientName?: string;
  readonly DICOMPatientBirthDate?: string;
  readonly DICOMPatientSex?: string;
  readonly DICOMStudyInstanceUID?: string;
  readonly DICOMStudyId?: string;
  readonly DICOMStudyDescription?: string;
  readonly DICOMNumberOfStudyRelatedSeries?: number;
  readonly DICOMNumberOfStudyRelatedInstances?: number;
  readonly DICOMAccessionNumber?: string;
  readonly DICOMSeriesInstanceUID?: string;
  readonly DICOMSeriesModality?: string;
  readonly DICOMSeriesBodyPart?: string;
  readonly DICOMSeriesNumber?: number;
  readonly DICOMStudyDate?: string;
  readonly DICOMStudyTime?: string;
}

/** `image-sets/{id}/versions/{n}/properties.json`: one version of an image set; the highest one is the latest. */
export interface ImageSetVersion {
  readonly imageSetId: string;
  readonly datastoreId: string;
  readonly version: number;
  readonly workflowStatus: 'CREATED' | 'UPDATED' | 'COPIED' | 'IMPORTED';
  /** The version was made with `force`. */
  readonly forced?: boolean | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly isPrimary: boolean;
  readonly dicomTags: DicomTags;
  /** Hash of the patient and study level attributes: what differs in it cannot share an image set. */
  readonly identityDigest: string;
  /** The job that made this version: a job that runs again after a crash finds what it had committed. */
  readonly importJobId?: string | undefined;
  /** Instances that the job put into this version. */
  readonly importedInstances?: number | undefined;
}

/** `versions/{n}/frames.json`: where each frame and each received file of a version lies. */
export interface BlobIndex {
  /** Frame id → blob (`{version}/{number}`), offset and length in its `.frames` file. */
  readonly frames: Readonly<Record<string, readonly [blob: string, offset: number, lengthBytes: number]>>;
  /** SOP instance UID → blob whose `.dcm` file is what was received. */
  readonly received: Readonly<Record<string, string>>;
}

export const nowSeconds = (): number => Date.now() / 1000;
