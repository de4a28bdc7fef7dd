import { z } from 'zod';
import { validation } from './service-error.ts';

/** Request shapes of the service model (api 2023-07-19), as both SDK generations send them. */

const id32 = /^[0-9a-z]{32}$/;
const roleArn = /^arn:aws(-[^:]+)?:iam::[0-9]{12}:role\/.+$/;
const clientToken = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9._-]+$/);
const tagMap = z.record(
  z
    .string()
    .min(1)
    .max(128)
    .regex(/^(?!aws:)[a-zA-Z0-9+\-=._:/ @]+$/),
  z.string().max(256),
);
/** The service takes s3 only; `file://` folders are this store's own addition. */
const locationUri = z
  .string()
  .max(1024)
  .regex(/^(s3:\/\/[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](\/.*)?|file:\/\/\/.*)$/s, 'must be an s3:// or file:/// URI');

export const createDatastoreShape = z.object({
  datastoreName: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[A-Za-z0-9._/#-]+$/)
    .optional(),
  clientToken: clientToken.optional(),
  tags: tagMap.optional(),
  kmsKeyArn: z
    .string()
    .min(1)
    .max(512)
    .regex(/^arn:aws[a-zA-Z-]{0,16}:kms:/)
    .optional(),
  lambdaAuthorizerArn: z
    .string()
    .regex(/^arn:(aws[a-zA-Z-]*)?:lambda:/)
    .optional(),
  losslessStorageFormat: z.enum(['HTJ2K', 'JPEG_2000_LOSSLESS']).optional(),
});

export const startImportShape = z.object({
  jobName: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z0-9._/#-]+$/)
    .optional(),
  dataAccessRoleArn: z.string().min(20).max(2048).regex(roleArn),
  clientToken: clientToken.optional(),
  inputS3Uri: locationUri,
  outputS3Uri: locationUri,
  inputOwnerAccountId: z
    .string()
    .regex(/^\d{12}$/)
    .optional(),
  importConfiguration: z.unknown().optional(),
});

const dicomText = z.string().max(512);
const dicomUid = z
  .string()
  .max(512)
  .regex(/^[0-9.]+$/);
const epochSeconds = z.number();
const searchValue = z
  .object({
    DICOMPatientId: dicomText,
    DICOMAccessionNumber: dicomText,
    DICOMStudyId: dicomText,
    DICOMStudyInstanceUID: dicomUid,
    DICOMSeriesInstanceUID: dicomUid,
    createdAt: epochSeconds,
    updatedAt: epochSeconds,
    DICOMStudyDateAndTime: z.object({
      DICOMStudyDate: z.string().max(36),
      DICOMStudyTime: z.string().max(56).optional(),
    }),
    isPrimary: z.boolean(),
  })
  .partial()
  .refine((value) => Object.values(value).filter((part) => part !== undefined).length === 1, {
    message: 'must name exactly one attribute',
  });

export const searchShape = z.object({
  filters: z
    .array(z.object({ values: z.array(searchValue).min(1).max(2), operator: z.enum(['EQUAL', 'BETWEEN']) }))
    .min(1)
    .max(2)
    .optional(),
  sort: z
    .object({
      sortOrder: z.enum(['ASC', 'DESC']),
      sortField: z.enum(['updatedAt', 'createdAt', 'DICOMStudyDateAndTime']),
    })
    .optional(),
});

export type SearchCriteria = z.infer<typeof searchShape>;
export type SearchFilter = NonNullable<SearchCriteria['filters']>[number];
export type SearchValue = SearchFilter['values'][number];

const versionId = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number);
const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((value) => value === 'true');

/** A blob is base64 of at most 30,000 bytes; it is read as UTF-8 text. */
const attributeBlob = z
  .base64()
  .min(1)
  .max(40_000)
  .transform((text) => Buffer.from(text, 'base64').toString('utf8'));

export const updateShape = z
  .object({
    DICOMUpdates: z
      .object({ removableAttributes: attributeBlob.optional(), updatableAttributes: attributeBlob.optional() })
      .optional(),
    revertToVersionId: versionId.optional(),
  })
  .refine(({ DICOMUpdates, revertToVersionId }) => (DICOMUpdates === undefined) !== (revertToVersionId === undefined), {
    message: 'must hold either DICOMUpdates or revertToVersionId',
  });
export const updateQueryShape = z.object({ latestVersion: versionId, force: flag, includeStudyImageSets: flag });

/** UpdateImageSetMetadata, parsed. */
export interface UpdateRequest {
  readonly latestVersion: number;
  readonly force: boolean;
  readonly includeStudyImageSets: boolean;
  /** JSON texts. */
  readonly updates: { readonly removable: string | undefined; readonly updatable: string | undefined } | undefined;
  readonly revertToVersion: number | undefined;
}

export const copyShape = z.object({
  sourceImageSet: z.object({
    latestVersionId: versionId,
    DICOMCopies: z.object({ copiableAttributes: z.string().min(1).max(260_000) }).optional(),
  }),
  destinationImageSet: z.object({ imageSetId: z.string().regex(id32), latestVersionId: versionId }).optional(),
});
export const copyQueryShape = z.object({ force: flag, promoteToPrimary: flag });

/** CopyImageSet, parsed. */
export interface CopyRequest {
  readonly sourceVersion: number;
  readonly copiable: string | undefined;
  readonly destination: { readonly imageSetId: string; readonly latestVersion: number } | undefined;
  readonly force: boolean;
  readonly promoteToPrimary: boolean;
}

export const frameShape = z.object({ imageFrameId: z.string().regex(id32) });
export const tagResourceShape = z.object({ tags: tagMap });

export const datastoreStatusShape = z.enum(['CREATING', 'CREATE_FAILED', 'ACTIVE', 'DELETING', 'DELETED']).optional();
export const jobStatusShape = z.enum(['SUBMITTED', 'IN_PROGRESS', 'COMPLETED', 'FAILED']).optional();
export const versionShape = z
  .string()
  .regex(/^\d{1,9}$/)
  .optional();
export const pageShape = z.object({
  maxResults: z.string().regex(/^\d+$/).transform(Number).pipe(z.number().min(1).max(50)).optional(),
  nextToken: z.string().min(1).max(8192).optional(),
});

/**
 * Parses a part of a request.
 *
 * @param where - what the refusal names: `body`, `version`, …
 * @throws ServiceError `ValidationException`, naming the place but not repeating the value
 */
export function parseShape<T>(shape: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = [where, ...(issue?.path ?? [])].map(String).join('.');
  throw validation(`Value at '${place}' failed to satisfy constraint: ${issue?.message ?? 'malformed'}.`);
}

/** @throws ServiceError `ValidationException` for what is no identifier */
export function parseId(value: unknown, name: string): string {
  if (typeof value === 'string' && id32.test(value)) return value;
  throw validation(`Value at '${name}' failed to satisfy constraint: 32 lower-case letters and digits.`);
}
