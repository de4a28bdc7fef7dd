import { dirname } from 'node:path';
import { EndpointError } from '../errors.ts';

/**
 * A failed load as an error with a code. A file that is no ONNX is the archive's fault; operators or versions that
 * onnxruntime does not know make the bundle unsupported.
 */
export function loadError(thrown: unknown, onnxPath: string): EndpointError {
  const text = describe(thrown, onnxPath);
  if (/failed to allocate|out of memory|bad_alloc/i.test(text)) {
    return new EndpointError('insufficient_memory', `There is not enough memory to load the network: ${text}`);
  }
  const damaged = /protobuf parsing failed|no graph was found|not.*valid.*model|ModelProto|external data|file_?size/i;
  return damaged.test(text)
    ? new EndpointError('invalid_archive', `models/model.onnx is damaged: ${text}`)
    : new EndpointError('unsupported_bundle', `onnxruntime cannot load models/model.onnx: ${text}`);
}

/** A failed run: the network does not take this input, or an operator failed. */
export function runError(thrown: unknown): EndpointError {
  return new EndpointError('model_failed', `The network failed on this input: ${describe(thrown)}`);
}

/** onnxruntime's words without paths of this machine or of the one that built it, and not endless. */
export function describe(thrown: unknown, onnxPath?: string): string {
  let text = thrown instanceof Error ? thrown.message : 'unknown fault';
  if (onnxPath !== undefined) {
    text = text.replaceAll(onnxPath, 'models/model.onnx').replaceAll(dirname(onnxPath), 'models');
  }
  text = text
    .replace(/\/onnxruntime_src\/\S+(:\d+)?/g, 'onnxruntime')
    .replace(
      /\/(?:app|build|dev|etc|home|lib|lib64|media|mnt|nix|opt|private|proc|root|run|srv|sys|tmp|Users|usr|var|work)\/[^\s:'",)]*/g,
      '(path)',
    )
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > 500 ? `${text.slice(0, 500)} …` : text;
}
