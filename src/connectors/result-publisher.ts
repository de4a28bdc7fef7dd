/** Where a request wants its results published: back among the images. */
export type PublishTarget =
  | { readonly kind: 'healthimaging'; readonly datastoreId: string }
  | { readonly kind: 'dicomweb'; readonly url: string };

/** One DICOM result in file form. */
export interface PublishedObject {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly bytes: Uint8Array;
}

/** What a target holds now. */
export interface Publication {
  readonly target: PublishTarget;
  /** HealthImaging: the image sets that hold the objects, in their order, each once. */
  readonly imageSetIds?: readonly string[];
  /** An earlier try had published all of them: nothing was sent. */
  readonly wasThere: boolean;
}

export interface PublishOptions {
  readonly signal: AbortSignal;
  /** Names the request: a retry has the same. */
  readonly inferenceId: string;
}

/**
 * Port: stores DICOM results in a system that keeps images. The UIDs of a result derive from its request, so a retry
 * finds what an earlier try has published and adds nothing.
 */
export interface ResultPublisher {
  accepts(target: PublishTarget): boolean;
  /**
   * Looks before any work whether the target may be used.
   *
   * @throws EndpointError `forbidden`, `invalid_request`
   */
  check(target: PublishTarget): Promise<void>;
  /**
   * Publishes all objects, or throws.
   *
   * @throws EndpointError `upstream_failed`, `deadline_exceeded`
   */
  publish(target: PublishTarget, objects: readonly PublishedObject[], options: PublishOptions): Promise<Publication>;
}
