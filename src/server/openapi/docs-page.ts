import type { Json, OpenApiDocument, OperationObject, ResponseObject } from './document.ts';
import { escapeHtml } from './escape-html.ts';
import { schemaHtml } from './schema-html.ts';

/** Plain text with `code` and blank lines, as the descriptions are written. */
const prose = (text: unknown): string =>
  text === undefined
    ? ''
    : String(text)
        .split('\n\n')
        .map((part) => `<p>${escapeHtml(part).replace(/`([^`]+)`/g, '<code>$1</code>')}</p>`)
        .join('');

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a6d8a; }
@media (prefers-color-scheme: dark) { :root { --accent: #6cc5de; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); } h4 { margin: 1rem 0 .25rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; } details[open] > summary { border-bottom: 1px solid var(--line); }
details > div { padding: .25rem 1rem 1rem; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 700; color: var(--accent); }
.path { font-weight: 600; margin-right: .75rem; } code, .method, .path { font-family: ui-monospace, monospace; font-size: .92em; }
table { border-collapse: collapse; width: 100%; } p { margin: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line); }
th { font-weight: 600; border-top: 0; } td:first-child { white-space: nowrap; }
.schema { background: var(--soft); border-radius: 6px; padding: .4rem .8rem; overflow-x: auto; }
.schema ul { margin: 0; padding-left: 1.1rem; } .note { opacity: .75; } a { color: var(--accent); }
`;

/** The document as one page of HTML without scripts: nothing is fetched, so that it works without a network. */
export function docsPage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags))];
  const sections = tags.map((tag) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag));
    return `<h2>${escapeHtml(tag)}</h2>${own.map(operationHtml).join('')}`;
  });
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<details><summary><code>${escapeHtml(name)}</code></summary><div id="schema-${escapeHtml(name)}">${schemaHtml(schema)}</div></details>`,
  );
  const { title, description } = document.info;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><h1>${escapeHtml(title)}</h1>${prose(description)}
<p class="note">The same as <a href="openapi.json">OpenAPI 3.1</a>.</p>
${sections.join('\n')}
<h2>Schemas</h2>${schemas.join('\n')}
</body></html>
`;
}

function operationHtml(at: { path: string; method: string; operation: OperationObject }): string {
  const { path, method, operation } = at;
  const head = `<span class="method">${method.toUpperCase()}</span><span class="path">${escapeHtml(path)}</span>`;
  return `<details id="${escapeHtml(operation.operationId)}"><summary>${head}${escapeHtml(operation.summary)}</summary><div>
${prose(operation.description)}${operation.security ? '<p class="note">Needs a bearer token where the operator set one.</p>' : ''}
${parametersHtml(operation.parameters ?? [])}${bodyHtml(operation.requestBody)}${responsesHtml(operation.responses)}
</div></details>`;
}

function parametersHtml(parameters: readonly Json[]): string {
  if (parameters.length === 0) return '';
  const rows = parameters.map(
    ({ name, in: place, required, description }) =>
      `<tr><td><code>${escapeHtml(String(name))}</code></td><td>${escapeHtml(String(place))}${required ? ', required' : ''}</td><td>${prose(description)}</td></tr>`,
  );
  return `<h4>Parameters</h4><table>${rows.join('')}</table>`;
}

function bodyHtml(body: Json | undefined): string {
  return body ? `<h4>Body</h4>${prose(body.description)}${contentHtml(body.content as Json | undefined)}` : '';
}

function responsesHtml(responses: Readonly<Record<string, ResponseObject>>): string {
  const rows = Object.entries(responses).map(([status, { description, content }]) => {
    // What an error looks like is the same for all: told once, under its name.
    const isError = Number(status) >= 400 && description.startsWith('`');
    const body = isError ? '' : contentHtml(content);
    return `<tr><td><code>${status}</code></td><td>${prose(description)}${body}</td></tr>`;
  });
  return `<h4>Answers</h4><table>${rows.join('')}</table>`;
}

/** Media types of the same content share a line. */
function contentHtml(content: Json | undefined): string {
  const types = new Map<string, string[]>();
  for (const [type, media] of Object.entries(content ?? {})) {
    const { schema } = media as { schema?: Json };
    const html = schema ? `<div class="schema">${schemaHtml(schema)}</div>` : '<span class="note">bytes</span>';
    types.set(html, [...(types.get(html) ?? []), `<code>${escapeHtml(type)}</code>`]);
  }
  return [...types].map(([html, names]) => `<div>${names.join(', ')}: ${html}</div>`).join('');
}
