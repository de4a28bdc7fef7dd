import type { MapJson } from '../api/map-json.ts';
import { compileSeriesRules } from './operators/series-rules.ts';
import { checkOutputs } from './planned-outputs.ts';

/**
 * Checks what `map.json` asks of the pipeline: output types, series conditions and their patterns. At load, so that no
 * request has to find out.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function checkMapJson(mapJson: MapJson): void {
  checkOutputs(mapJson);
  if (mapJson.series) compileSeriesRules(mapJson.series);
}
