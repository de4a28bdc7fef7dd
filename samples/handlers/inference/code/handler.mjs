// @ts-check
/**
 * A handler to begin with, in the functions of SageMaker's inference.py. It takes `{"values": [1, 2, 3]}` and answers with
 * their mean and range; replace it by your own. The contract: docs/handlers.md.
 */

/**
 * Called once; what it gives is handed to predictFn.
 *
 * @param {string} _modelDir
 * @param {import('map-endpoint/handler').InitializeContext} context
 */
export function modelFn(_modelDir, context) {
  return { name: context.systemProperties.model_name };
}

/**
 * @param {Uint8Array} body
 * @param {string} contentType
 * @returns {number[]}
 */
export function inputFn(body, contentType) {
  if (contentType.startsWith('application/json')) {
    const { values } = JSON.parse(new TextDecoder().decode(body));
    if (Array.isArray(values) && values.length > 0 && values.every(Number.isFinite)) return values;
  }
  throw Object.assign(new Error('The body must be {"values": [number, …]}.'), { code: 'invalid_request' });
}

/**
 * @param {number[]} values
 * @param {{ name: string }} model
 */
export async function predictFn(values, model) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { model: model.name, count: values.length, mean, min: Math.min(...values), max: Math.max(...values) };
}

/**
 * @param {object} prediction
 * @param {string} _accept
 */
export function outputFn(prediction, _accept) {
  return prediction;
}
