import { probeRoutes } from './health-routes.ts';
import { oipRoutes } from './oip/oip-routes.ts';
import { descriptionRoutes } from './openapi/description-router.ts';
import type { RouteDescription } from './openapi/route.ts';
import { runtimeRoutes } from './runtime-api/runtime-routes.ts';
import { containerRoutes } from './sagemaker/container-routes.ts';
import { modelRoutes } from './sagemaker/model-routes.ts';

/** Every route of the server, for the OpenAPI document, the access log and traces. New routers add theirs here. */
export function routesOf(mode: 'serve' | 'local'): readonly RouteDescription[] {
  return [
    ...containerRoutes,
    ...modelRoutes,
    ...(mode === 'local' ? runtimeRoutes : []),
    ...oipRoutes,
    ...probeRoutes,
    ...descriptionRoutes,
  ];
}
