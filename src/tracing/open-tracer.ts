import type { Logger } from '../logger.ts';
import { noTracer, type Tracer } from './span.ts';

/** The tracer of the front. Without an exporter nothing of OpenTelemetry is even imported. */
export async function openTracer(options: { readonly enabled: boolean; readonly logger: Logger }): Promise<Tracer> {
  if (!options.enabled) return noTracer;
  const { OtlpTracer } = await import('./otlp-tracer.ts');
  return new OtlpTracer(options.logger);
}
