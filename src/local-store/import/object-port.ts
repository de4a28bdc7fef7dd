/**
 * Port: the object store behind `s3://` inputs and outputs of import jobs. The composition root injects it; without
 * one, only folders can be imported.
 */
export interface ImportObjectStore {
  /** Objects under `s3://bucket/prefix`, in ascending key order. */
  list(location: ObjectLocation, signal: AbortSignal): AsyncIterable<ListedObject>;
  /** Writes the bytes of an object to a new local file. */
  download(bucket: string, key: string, toPath: string, signal: AbortSignal): Promise<void>;
  /** Writes an object. */
  upload(bucket: string, key: string, content: Uint8Array, contentType: string, signal: AbortSignal): Promise<void>;
}

export interface ObjectLocation {
  readonly bucket: string;
  readonly prefix: string;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
}
