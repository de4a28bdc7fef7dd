/**
 * Entry of a session child: onnxruntime and nothing else. The only module that loads onnxruntime, since its native
 * calls block the event loop and its crashes end the process.
 */
import { readFileSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { env, InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { asEndpointError, EndpointError } from '../errors.ts';
import type { NetworkSignature, Tensor, TensorData, TensorInfo, TensorType } from '../imaging/tensor.ts';
import type { Tensors } from './frame.ts';
import { rewriteForCpu } from './onnx/rewrite.ts';
import { describe, loadError, runError } from './onnxruntime-errors.ts';
import type { FromSession, SessionDevice, ToSession } from './protocol.ts';
import { checkTrialOutputs, refusal, type TrialShapes, trialInputs } from './trial.ts';
import { WindowServer } from './window-server.ts';

process.title = 'me-session';
// Node 24 has Float16Array, which onnxruntime-common then wants and onnxruntime-node's native side does not know.
delete (globalThis as { Float16Array?: unknown }).Float16Array;
env.logLevel = 'fatal'; // its own log lines hold paths; failures come as exceptions all the same

/** y = Identity(x), float32 [1]: warms onnxruntime up and shows whether a provider works. */
const tinyOnnx = Buffer.from(
  'CAgSADo3ChAKAXgSAXkiCElkZW50aXR5EgFnWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQDQ==',
  'base64',
);
const cpu: SessionDevice = { providers: ['cpu'], deviceId: 0 };
const tensorTypes: ReadonlySet<string> = new Set<TensorType>([
  'float32',
  'float16',
  'float64',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
]);

const sessions = new Map<string, InferenceSession>();
const server = new WindowServer(runWindow);
let listeningAt: string | undefined;

function send(message: FromSession): void {
  process.send?.(message, undefined, undefined, () => undefined);
}

function sessionOptions({ providers, deviceId }: SessionDevice): InferenceSession.SessionOptions {
  return {
    executionProviders: providers.map((name) => (name === 'cuda' ? { name, deviceId } : name)),
    // One thread a child: two children of one thread are 1.4 times as fast as one of two (measured.md §3).
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 4,
    extra: { session: { load_model_format: 'ONNX', intra_op: { allow_spinning: '0' } } },
  };
}

async function runWindow(sessionId: string, inputs: Tensors): Promise<Tensors> {
  const session = sessions.get(sessionId);
  if (!session) throw new EndpointError('internal', 'The session child does not hold this network.');
  const feeds: Record<string, OrtTensor> = {};
  try {
    for (const [name, { type, dims, data }] of Object.entries(inputs)) {
      feeds[name] = new OrtTensor(type as 'float32', data as Float32Array, dims);
    }
    const results = await session.run(feeds);
    const outputs: Record<string, Tensor> = {};
    for (const [name, value] of Object.entries(results)) {
      outputs[name] = { type: value.type as TensorType, dims: value.dims, data: value.data as TensorData };
    }
    return outputs;
  } catch (thrown) {
    throw runError(thrown);
  }
}

async function load(sessionId: string, onnxPath: string, device: SessionDevice): Promise<NetworkSignature> {
  let session: InferenceSession;
  try {
    session = await createSession(onnxPath, device);
  } catch (thrown) {
    throw loadError(thrown, onnxPath);
  }
  const signature = signatureOf(session);
  sessions.set(sessionId, session);
  return signature;
}

/** Larger files are loaded as they are: a rewriting holds the model in memory twice for a moment. */
const maxRewrittenBytes = 512 * 1024 ** 2;

async function createSession(onnxPath: string, device: SessionDevice): Promise<InferenceSession> {
  const isCpuOnly = device.providers.every((name) => name === 'cpu');
  const model = isCpuOnly && statSync(onnxPath).size <= maxRewrittenBytes ? readFileSync(onnxPath) : undefined;
  const rewritten = model && rewriteForCpu(model);
  if (rewritten) {
    try {
      return await InferenceSession.create(rewritten, sessionOptions(device));
    } catch {
      // What is wrong with it is wrong with the file as well, which is what the user knows.
    }
  }
  return InferenceSession.create(onnxPath, sessionOptions(device));
}

/** One run on a made-up input: shows what a load alone does not, and brings the memory to where requests will. */
async function tryOut(sessionId: string, shapes: TrialShapes): Promise<undefined> {
  const session = sessions.get(sessionId);
  if (!session) throw new EndpointError('internal', 'The session child does not hold this network.');
  const signature = signatureOf(session);
  let outputs: Tensors;
  try {
    outputs = await runWindow(sessionId, trialInputs(signature, shapes));
  } catch (thrown) {
    throw refusal(`fails: ${asEndpointError(thrown).message}`);
  }
  checkTrialOutputs(signature.outputs, outputs);
}

function signatureOf(session: InferenceSession): NetworkSignature {
  return { inputs: tensorInfos(session.inputMetadata), outputs: tensorInfos(session.outputMetadata) };
}

function tensorInfos(metadata: readonly InferenceSession.ValueMetadata[]): TensorInfo[] {
  return metadata.map((value) => {
    if (!value.isTensor || !tensorTypes.has(value.type)) {
      const type = value.isTensor ? value.type : 'no tensor';
      throw new EndpointError('unsupported_bundle', `"${value.name}" of models/model.onnx is of type ${type}.`);
    }
    const dims = value.shape.map((dim) => (dim === undefined || dim === '' ? -1 : dim));
    return { name: value.name, type: value.type as TensorType, dims };
  });
}

async function unload(sessionId: string): Promise<undefined> {
  const session = sessions.get(sessionId);
  sessions.delete(sessionId);
  await session?.release();
}

async function probe(device: SessionDevice): Promise<undefined> {
  try {
    const session = await InferenceSession.create(tinyOnnx, sessionOptions(device));
    await session.run({ x: new OrtTensor('float32', new Float32Array([1]), [1]) });
    await session.release();
  } catch (thrown) {
    const names = device.providers.join(', ');
    throw new EndpointError('internal', `No session can be made on ${names} on this machine: ${describe(thrown)}`);
  }
}

async function start(socketPath: string): Promise<void> {
  await server.listen(socketPath);
  listeningAt = socketPath;
  await probe(cpu);
  send({ type: 'started' });
}

async function answer(id: number, work: Promise<NetworkSignature | undefined>): Promise<void> {
  try {
    const signature = await work;
    send({ type: 'done', id, ...(signature ? { signature } : {}) });
  } catch (thrown) {
    send({ type: 'failed', id, error: asEndpointError(thrown).toJSON() });
  }
}

process.on('message', (received) => {
  const message = received as ToSession;
  switch (message.type) {
    case 'start':
      void start(message.socketPath);
      break;
    case 'probe':
      void answer(message.id, probe(message.device));
      break;
    case 'load':
      void answer(message.id, load(message.sessionId, message.onnxPath, message.device));
      break;
    case 'try':
      void answer(message.id, tryOut(message.sessionId, message.shapes));
      break;
    case 'unload':
      void answer(message.id, unload(message.sessionId));
      break;
    case 'cancel':
      void answer(
        message.id,
        server.cancel(message.grantId).then(() => undefined),
      );
      break;
  }
});

// The front is gone: nobody will come for this child, nor tidy up after it.
process.on('disconnect', () => {
  try {
    if (listeningAt !== undefined) {
      unlinkSync(listeningAt);
      rmdirSync(dirname(listeningAt)); // the last child takes the folder along
    }
  } catch {
    // another child still lives in it, or somebody removed it
  }
  process.exit(0);
});
