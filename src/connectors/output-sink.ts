/**
 * Port: a place for results. All files of a request are written under one prefix, `result.json` last: it is the
 * commit mark, without it a prefix is no result.
 */
export interface OutputSink {
  /** True when this sink serves the URI's scheme. */
  accepts(uri: string): boolean;
  /**
   * The committed `result.json` under a prefix, parsed, or undefined when there is none.
   *
   * @param prefixUri - `{output.uri}/{model}/{inferenceId}/`, with its trailing slash
   */
  readResult(prefixUri: string, signal: AbortSignal): Promise<unknown>;
  /** The last status under a prefix, parsed; undefined when there is none, or none that can be read. */
  readStatus(prefixUri: string, signal: AbortSignal): Promise<unknown>;
  /**
   * Writes `status.json` under a prefix, at once. Not while a transaction is open there.
   *
   * @throws EndpointError `forbidden`, `upstream_failed`
   */
  writeStatus(prefixUri: string, status: unknown): Promise<void>;
  /** Removes what an interrupted transaction left under a prefix; a committed result stays. */
  discard(prefixUri: string): Promise<void>;
  /** Starts writing under a prefix. Nothing is visible as a result before `commit`. */
  begin(prefixUri: string, signal: AbortSignal): Promise<OutputTransaction>;
}

export interface OutputTransaction {
  /** Writes one file and gives its final URI. `name` is a plain file name. */
  write(name: string, bytes: Uint8Array, contentType: string): Promise<string>;
  /** Writes `result.json`; from then on the prefix is a result. */
  commit(result: unknown): Promise<void>;
  /** Removes everything this transaction wrote. Never throws. */
  abort(): Promise<void>;
}
