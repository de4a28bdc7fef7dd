import { Router } from 'express';
import { z } from 'zod';
import { docsPage } from './docs-page.ts';
import { openApiDocument } from './document.ts';
import type { RouteDescription } from './route.ts';

const tag = 'Description';

export const descriptionRoutes: readonly RouteDescription[] = [
  {
    method: 'get',
    path: '/openapi.json',
    operation: 'GetOpenApi',
    tag,
    summary: 'This description, as OpenAPI 3.1',
    responses: {
      200: { description: 'The document.', content: { 'application/json': z.record(z.string(), z.unknown()) } },
    },
    errors: [],
  },
  {
    method: 'get',
    path: '/docs',
    operation: 'GetDocs',
    tag,
    summary: 'This description, as a page',
    responses: { 200: { description: 'The page.', content: { 'text/html': 'text' } } },
    errors: [],
  },
];

/** `/openapi.json` and `/docs`: made once, of the routes that this server has. */
export function descriptionRouter(routes: readonly RouteDescription[]): Router {
  const router = Router({ caseSensitive: true });
  const document = openApiDocument(routes);
  const json = JSON.stringify(document);
  const page = docsPage(document);
  router.get('/openapi.json', (_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(json);
  });
  router.get('/docs', (_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    // The page needs nothing but its own style: whatever else stood in it would not be loaded or run.
    response.setHeader('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    response.end(page);
  });
  return router;
}
