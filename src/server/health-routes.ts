import { livenessSchema, readinessSchema } from '../api/wire-schemas.ts';
import type { RouteDescription } from './openapi/route.ts';

const tag = 'Probes';
const readiness = { 'application/json': readinessSchema };

export const probeRoutes: readonly RouteDescription[] = [
  {
    method: 'get',
    path: '/healthz',
    operation: 'GetLiveness',
    tag,
    summary: 'The process answers',
    responses: { 200: { description: 'Alive.', content: { 'application/json': livenessSchema } } },
    errors: [],
  },
  {
    method: 'get',
    path: '/readyz',
    operation: 'GetReadiness',
    tag,
    summary: 'Whether it takes work, and what is degraded',
    responses: {
      200: { description: 'It takes work.', content: readiness },
      503: { description: 'It takes no work now.', content: readiness },
    },
    errors: [],
  },
  {
    method: 'get',
    path: '/metrics',
    operation: 'GetMetrics',
    tag,
    summary: 'Prometheus metrics (docs/observability.md)',
    responses: { 200: { description: 'The metrics.', content: { 'text/plain': 'text' } } },
    errors: [],
  },
];
