import { z } from 'zod';
import { EndpointError } from '../errors.ts';
import { describeIssues } from './invocation.ts';

/** Datatypes of the Open Inference Protocol by the element types of our tensors. BYTES and BF16 have none. */
export const datatypeOf = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
} as const;

/** Header that tells, under `/v2`, how many bytes of a body are its JSON; tensors in binary stand behind it. */
export const headerLengthHeader = 'inference-header-content-length';
/** The same by SageMaker's content type: `…;json-header-size=N`. */
export const sagemakerBinaryType = 'application/vnd.sagemaker-triton.binary+json';

/** No network has more axes; onnxruntime's own limit is far above. */
const maxRank = 32;
const maxDim = 2 ** 31 - 1;
const name = z.string().min(1).max(1024);
const parameters = z.record(z.string(), z.unknown()).default({});

const inputSchema = z.object({
  name,
  datatype: z.string().max(16),
  shape: z.array(z.int().min(0, 'must not be negative').max(maxDim)).max(maxRank),
  parameters: parameters.pipe(z.looseObject({ binary_data_size: z.int().min(0).optional() })),
  // Its elements are looked at when they are put into a tensor: a schema would copy millions of them.
  data: z.custom<unknown[]>(Array.isArray, 'must be a list').optional(),
});
const outputSchema = z.object({
  name,
  parameters: parameters.pipe(z.looseObject({ binary_data: z.boolean().optional() })),
});
export const oipRequestSchema = z.object({
  id: z.string().max(1024).optional(),
  parameters: parameters.pipe(z.looseObject({ binary_data_output: z.boolean().optional() })),
  inputs: z.array(inputSchema).min(1).max(1024),
  outputs: z.array(outputSchema).max(1024).optional(),
});

/** An inference request of the Open Inference Protocol: the JSON of it, tensors in binary not yet joined. */
export type OipRequest = z.infer<typeof oipRequestSchema>;
export type OipInput = z.infer<typeof inputSchema>;

/** Parameters by which a client asks for another answer than it would get; what we don't know besides is ignored. */
const refusedParameters = ['sequence_id', 'shared_memory_region', 'classification'];

/**
 * Parses the JSON of an inference request.
 *
 * @throws EndpointError `invalid_request`, naming the place and never a value
 */
export function parseOipRequest(value: unknown): OipRequest {
  const parsed = oipRequestSchema.safeParse(value);
  if (!parsed.success) {
    throw new EndpointError('invalid_request', `The inference request is not valid: ${describeIssues(parsed.error)}.`);
  }
  const { inputs, outputs = [], parameters: own } = parsed.data;
  for (const each of [own, ...[...inputs, ...outputs].map((tensor) => tensor.parameters)]) {
    const refused = refusedParameters.find((key) => key in each);
    if (refused) throw new EndpointError('invalid_request', `The parameter "${refused}" is not supported.`);
  }
  for (const [what, tensors] of Object.entries({ inputs, outputs })) {
    if (new Set(tensors.map((tensor) => tensor.name)).size < tensors.length) {
      throw new EndpointError('invalid_request', `"${what}" names a tensor twice.`);
    }
  }
  return parsed.data;
}

/** True for a JSON body that holds tensors; an imaging request's inputs have no datatype. */
export function looksLikeOipRequest(value: unknown): boolean {
  const inputs = (value as { inputs?: unknown } | null)?.inputs;
  return (
    Array.isArray(inputs) && inputs.some((input) => typeof input === 'object' && input !== null && 'datatype' in input)
  );
}
