import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onnxModel } from '../../test/support/onnx-bytes.ts';
import { BenchEndpoint } from '../bench-endpoint.ts';
import { type Call, sendWell } from './load-client.ts';
import { type Peer, payload, processTree } from './peer.ts';

/**
 * Our side: the whole way of a request through front, pipeline process and session child, by the Open Inference
 * Protocol with binary tensors.
 */
export async function startMapEndpoint(models: number): Promise<Peer> {
  const endpoint = await new BenchEndpoint().start();
  for (let model = 0; model < models; model++) writeIdentity(join(endpoint.models, `m${model}`));
  const call = (model: number): Call => inferCall(endpoint.url, `m${model}`);
  return {
    name: 'map-endpoint',
    url: endpoint.url,
    pid: endpoint.pid,
    load: async (model) => {
      await sendWell({ url: `${endpoint.url}/v2/repository/models/m${model}/load` });
    },
    call,
    check: (body) => body.subarray(-payload.length).equals(payload),
    // The spare is the youngest: it holds no model.
    workers: () =>
      processTree(endpoint.pid)
        .filter(({ command }) => command.startsWith('me-session'))
        .map(({ pid }) => pid)
        .sort((a, b) => a - b)
        .slice(0, -1),
    stop: () => endpoint.stop(),
  };
}

/** Head of a request in binary of the Open Inference Protocol for {@link payload}. */
export const inferHead = Buffer.from(
  JSON.stringify({
    inputs: [{ name: 'x', shape: [256], datatype: 'FP32', parameters: { binary_data_size: payload.length } }],
    outputs: [{ name: 'y', parameters: { binary_data: true } }],
  }),
);

function inferCall(url: string, model: string): Call {
  return {
    url: `${url}/v2/models/${model}/infer`,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': inferHead.length },
    body: Buffer.concat([inferHead, payload]),
  };
}

/** The files of a bundle that is served by its tensors alone: y = x, 256 floats. */
export const identityBundle: Readonly<Record<string, Buffer>> = {
  'configs/inference.json': Buffer.from('{}'),
  'configs/metadata.json': Buffer.from(JSON.stringify({ name: 'identity', version: '1' })),
  'map.json': Buffer.from('{"tensorsOnly": true}'),
  'models/model.onnx': onnxModel({ dims: [256] }),
};

function writeIdentity(dir: string): void {
  for (const [path, content] of Object.entries(identityBundle)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
}
