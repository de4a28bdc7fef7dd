import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestEndpoint } from './endpoint.ts';
import { onnxModel } from './onnx-bytes.ts';

export interface HandlerArchive {
  /** `code/handler.mjs` and what lies beside it, by path. */
  readonly handler: string;
  readonly files?: Readonly<Record<string, string>>;
  /** Whether the archive has a network: y = x, four floats. */
  readonly network?: boolean;
}

/** Packs an archive with code of its own into the models folder, replacing one of that name. */
export function addHandler(endpoint: TestEndpoint, name: string, archive: HandlerArchive): void {
  const dir = mkdtempSync(join(tmpdir(), 'map-endpoint-handler-'));
  try {
    mkdirSync(join(dir, 'code'));
    writeFileSync(join(dir, 'code/handler.mjs'), archive.handler);
    for (const [path, text] of Object.entries(archive.files ?? {})) writeFileSync(join(dir, path), text);
    if (archive.network) {
      mkdirSync(join(dir, 'models'));
      writeFileSync(join(dir, 'models/model.onnx'), onnxModel());
    }
    endpoint.addModel(dir, `${name}.tar.gz`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Calls a model with a body; the answer's JSON, or its text when it is none. */
export async function call(
  endpoint: TestEndpoint,
  name: string,
  body: string | Uint8Array<ArrayBuffer> = '',
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<{ status: number; headers: Headers; text: string; json: () => never }> {
  const response = await fetch(`${endpoint.url}/invocations`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain', 'x-amzn-sagemaker-target-model': `${name}.tar.gz`, ...headers },
    body,
    ...(signal ? { signal } : {}),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) as never };
}
