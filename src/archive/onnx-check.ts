import { lstat, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EndpointError } from '../errors.ts';
import { onnxFile } from './layout.ts';
import { type MessageShape, ProtobufFile } from './protobuf-file.ts';

/** Most fields that are looked at: a real network has thousands. */
const maxFields = 20_000_000;
const maxTextBytes = 4096;

/** A tensor's external data as the file tells it. */
interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
}

/**
 * Checks `models/model.onnx` of a bundle before onnxruntime sees it: that it is an ONNX model at all, and that external
 * data (weights in files of their own) lies in regular files inside `models/` (attacks: field-facts §6.6).
 *
 * @param bundleDir - root of the bundle
 * @returns bytes of the file and of its external data
 * @throws EndpointError `invalid_archive`
 */
export async function checkOnnxFile(bundleDir: string, signal: AbortSignal): Promise<{ sizeBytes: number }> {
  const onnxPath = join(bundleDir, onnxFile);
  const references: ExternalData[] = [];
  const file = await open(onnxPath, 'r');
  try {
    const { size } = await file.stat();
    let graphs = 0;
    const onGraph = (): void => {
      graphs++;
    };
    const reader = new ProtobufFile(file, size, maxFields, signal);
    await reader.walk(modelShape(onGraph, references));
    if (graphs === 0) throw damaged('it holds no graph');
    const files = new Map<string, number>();
    for (const reference of references) await checkReference(dirname(onnxPath), reference, files);
    return { sizeBytes: [...files.values()].reduce((sum, bytes) => sum + bytes, size) };
  } finally {
    await file.close();
  }
}

const damaged = (reason: string): EndpointError =>
  new EndpointError('invalid_archive', `${onnxFile} is no valid ONNX file: ${reason}.`);

/** The part of `onnx.proto` on the way to tensors. Field numbers: onnx/onnx.proto, IR version 13. */
function modelShape(onGraph: () => void, references: ExternalData[]): MessageShape {
  const tensor = tensorShape(references);
  const sparseTensor: MessageShape = { fields: { 1: tensor, 2: tensor } };
  // Graphs hold nodes, whose attributes hold graphs: the fields are filled in once all exist.
  const attribute: MessageShape = { fields: {} };
  const node: MessageShape = { fields: { 5: attribute } };
  const graph: MessageShape = { fields: { 1: node, 5: tensor, 15: sparseTensor } };
  Object.assign(attribute.fields, { 5: tensor, 6: graph, 10: tensor, 11: graph, 22: sparseTensor, 23: sparseTensor });
  const localFunction: MessageShape = { fields: { 7: node, 11: attribute } };
  const trainingInfo: MessageShape = { fields: { 1: graph, 2: graph } };
  return { fields: { 7: { ...graph, onBegin: onGraph }, 20: trainingInfo, 25: localFunction } };
}

/** A tensor whose `external_data` is collected, whatever its `data_location` says. Tensors don't nest. */
function tensorShape(references: ExternalData[]): MessageShape {
  let entries: [string, string][] = [];
  let key = '';
  let value = '';
  const entry: MessageShape = {
    fields: {},
    texts: {
      1: (text) => {
        key = text;
      },
      2: (text) => {
        value = text;
      },
    },
    maxTextBytes,
    onBegin: () => {
      key = '';
      value = '';
    },
    onEnd: () => {
      entries.push([key, value]);
    },
  };
  return {
    fields: { 13: entry },
    onBegin: () => {
      entries = [];
    },
    onEnd: () => {
      if (entries.length > 0) references.push(externalData(entries));
    },
  };
}

function externalData(entries: readonly [string, string][]): ExternalData {
  const keys = entries.map(([key]) => key);
  if (new Set(keys).size < keys.length) throw damaged('external data names a key twice');
  const values = new Map(entries);
  const location = values.get('location');
  if (location === undefined) throw damaged('external data has no location');
  const length = values.get('length');
  return {
    location,
    offset: wholeNumber(values.get('offset') ?? '0'),
    length: length === undefined ? undefined : wholeNumber(length),
  };
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw damaged('external data has a malformed offset');
  return value;
}

async function checkReference(modelsDir: string, data: ExternalData, files: Map<string, number>): Promise<void> {
  const { location } = data;
  const segments = location.split('/');
  const isPlain =
    !/[\u0000-\u001f\u007f\\:\uFFFD]/.test(location) &&
    segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  if (!isPlain) throw damaged('its external data is not a plain path inside models/');
  let sizeBytes = files.get(location);
  if (sizeBytes === undefined) {
    sizeBytes = await regularFileBytes(modelsDir, segments);
    files.set(location, sizeBytes);
  }
  if (data.offset + (data.length ?? 0) > sizeBytes) throw damaged('its external data is cut off');
}

/** Size of a regular file that is reached through folders only, never through a link. */
async function regularFileBytes(modelsDir: string, segments: readonly string[]): Promise<number> {
  let path = modelsDir;
  for (const [index, segment] of segments.entries()) {
    path = join(path, segment);
    const found = await lstat(path).catch(() => undefined);
    const isLast = index === segments.length - 1;
    if (isLast && found?.isFile()) return found.size;
    if (isLast || !found?.isDirectory()) break;
  }
  throw damaged('its external data is not a regular file inside models/');
}
