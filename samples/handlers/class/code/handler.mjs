// @ts-check
/**
 * A handler to begin with. It takes `{"values": [1, 2, 3]}` and answers with their mean and range; replace the three
 * phases by your own. Run it with CUSTOM_CODE_LOG=true to see what it prints. The contract: docs/handlers.md.
 *
 * @typedef {import('map-endpoint/handler').Handler} Handler
 * @typedef {import('map-endpoint/handler').HandlerRequest} HandlerRequest
 * @typedef {import('map-endpoint/handler').HandlerContext} HandlerContext
 * @typedef {import('map-endpoint/handler').InitializeContext} InitializeContext
 */

/** @implements {Handler} */
export default class MyHandler {
  /**
   * Called once. Read files of the archive here; a throw fails the load with its message.
   *
   * @param {InitializeContext} context
   */
  async initialize(context) {
    this.modelName = context.systemProperties.model_name;
    // context.network is models/model.onnx, where the archive has one:
    // await context.network?.run({ input: { type: 'float32', dims: [1, 4], data: new Float32Array(4) } });
  }

  /**
   * Requests to numbers. An Error in the list fails that request alone.
   *
   * @param {readonly HandlerRequest[]} requests
   */
  preprocess(requests) {
    return requests.map(({ body }) => readValues(body));
  }

  /**
   * @param {(number[] | Error)[]} inputs
   * @param {HandlerContext} context
   */
  async inference(inputs, context) {
    context.progress(0.5, 'inference');
    // To run the archive's MONAI bundle as the endpoint does without a handler: await context.runBundle(request)
    return inputs.map((values) => (values instanceof Error ? values : describe(values)));
  }

  /**
   * As many answers as requests, in their order: text, bytes, or anything that JSON can hold.
   *
   * @param {(object | Error)[]} outputs
   */
  postprocess(outputs) {
    return outputs.map((output) => (output instanceof Error ? output : { model: this.modelName, ...output }));
  }
}

/**
 * @param {Uint8Array} body
 * @returns {number[] | Error}
 */
function readValues(body) {
  try {
    const { values } = JSON.parse(new TextDecoder().decode(body));
    if (Array.isArray(values) && values.length > 0 && values.every(Number.isFinite)) return values;
  } catch {
    // Told below, with what is wanted.
  }
  return Object.assign(new Error('The body must be {"values": [number, …]}.'), { code: 'invalid_request' });
}

/** @param {readonly number[]} values */
function describe(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { count: values.length, mean, min: Math.min(...values), max: Math.max(...values) };
}
