import type { InvocationAnswer } from '../api/invocation.ts';
import type { MapJson } from '../api/map-json.ts';
import type { Prompts } from '../api/prompts.ts';
import type { ComputePool } from '../compute/pool.ts';
import type { ImageSource, InputReference } from '../connectors/image-source.ts';
import type { OutputSink } from '../connectors/output-sink.ts';
import type { PublishTarget, ResultPublisher } from '../connectors/result-publisher.ts';
import type { Network } from '../imaging/network.ts';
import type { Span } from '../tracing/span.ts';
import type { ImagingBundle } from './imaging-bundle.ts';

/** One imaging request, parsed and with everything wired that it needs. One job is one inference over all its inputs. */
export interface ImagingJob {
  readonly inputs: readonly InputReference[];
  /** Prefix that the outputs go under; without it the files come back to the caller. */
  readonly outputUri?: string | undefined;
  /** What the user marks in the image. */
  readonly prompts?: Prompts | undefined;
  /** Where the DICOM results are stored besides. */
  readonly publish?: readonly PublishTarget[] | undefined;
  /** `[A-Za-z0-9._-]{1,64}`; default: a hash of model digest, inputs and outputs. */
  readonly inferenceId?: string | undefined;
  readonly bundle: ImagingBundle;
  readonly mapJson: MapJson;
  /** TargetModel without its suffix and the digest of its files; `map.json` may say a nicer name and a version. */
  readonly model: { readonly name: string; readonly sha256: string };
  readonly network: Network;
  readonly pool: ComputePool;
  readonly sources: readonly ImageSource[];
  readonly sinks: readonly OutputSink[];
  readonly publishers?: readonly ResultPublisher[] | undefined;
  /** Aborted on deadline, client gone, unload. */
  readonly signal: AbortSignal;
  /** Folder of this request; the caller removes it. */
  readonly scratchDir: string;
  /** What passed before the job began; counted in the answer's `queue`, `load` and `total`. */
  readonly elapsedMs?: { readonly queue: number; readonly load: number } | undefined;
  /** Warnings of the caller that the answer shall carry (a fallback to the CPU, say). */
  readonly warnings?: readonly string[] | undefined;
  /** Span of the job; the operators' spans are its parts. */
  readonly span?: Span | undefined;
  /** Called with the prefix before the first write under it: should this process die, another one discards what it left. */
  writing?(prefixUri: string): Promise<void> | void;
  /** Tells how far the work is, 0 to 1. */
  progress?(fraction: number, phase: string): void;
}

/** One written result. */
export interface OutputFile {
  /** `dicom-seg`, `nifti`, `json`, `png`. */
  readonly type: string;
  /** `{type}.{ext}`: safe as a file name and as the last segment of a key. */
  readonly fileName: string;
  readonly contentType: string;
  readonly bytes: Uint8Array;
  readonly sopInstanceUid?: string | undefined;
}

export interface ImagingResult {
  /** The 200 answer. `outputs` have a `uri` when the job has an `outputUri`; else the caller delivers `files`. */
  readonly answer: InvocationAnswer;
  /** In the order of `answer.outputs`; empty when they were written under `outputUri`. */
  readonly files: readonly OutputFile[];
}
