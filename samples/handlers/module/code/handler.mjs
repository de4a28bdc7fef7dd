// @ts-check
/**
 * A handler to begin with, as functions of the module. It takes `{"values": [1, 2, 3]}` and answers with their mean and
 * range; replace it by your own. The contract: docs/handlers.md.
 *
 * @typedef {import('map-endpoint/handler').HandlerRequest} HandlerRequest
 * @typedef {import('map-endpoint/handler').HandlerContext} HandlerContext
 * @typedef {import('map-endpoint/handler').InitializeContext} InitializeContext
 */

let modelName = '';

/**
 * Called once; a throw fails the load with its message.
 *
 * @param {InitializeContext} context
 */
export function initialize(context) {
  modelName = context.systemProperties.model_name;
}

/**
 * As many answers as requests, in their order; an Error fails that request alone.
 *
 * @param {readonly HandlerRequest[]} requests
 * @param {HandlerContext} context
 */
export async function handle(requests, context) {
  context.progress(0.5, 'inference');
  return requests.map(({ body }) => {
    const values = readValues(body);
    return values instanceof Error ? values : { model: modelName, ...describe(values) };
  });
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
