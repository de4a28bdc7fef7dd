import type { Json } from './document.ts';
import { escapeHtml } from './escape-html.ts';

/** A JSON schema as nested lists: name, type, limits, meaning. */
export function schemaHtml(schema: Json): string {
  const alternatives = (schema.anyOf ?? schema.oneOf) as Json[] | undefined;
  const meaning = typeof schema.description === 'string' ? ` — ${escapeHtml(schema.description)}` : '';
  if (alternatives) {
    return `one of${meaning}<ul>${alternatives.map((part) => `<li>${schemaHtml(part)}</li>`).join('')}</ul>`;
  }
  return `${typeHtml(schema)}${limitsOf(schema)}${meaning}${partsHtml(schema)}`;
}

function typeHtml(schema: Json): string {
  if (typeof schema.$ref === 'string') {
    const name = escapeHtml(schema.$ref.replace(/^.*\//, ''));
    return `<a href="#schema-${name}">${name}</a>`;
  }
  if (Array.isArray(schema.enum))
    return schema.enum.map((value) => `<code>${escapeHtml(String(value))}</code>`).join(' ');
  if ('const' in schema) return `<code>${escapeHtml(String(schema.const))}</code>`;
  return `<span class="note">${escapeHtml(String(schema.type ?? 'anything'))}</span>`;
}

/** Limits that a reader wants to see; those of numbers that only mean "safe integer" are none. */
function limitsOf(schema: Json): string {
  const names = ['pattern', 'format', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems'];
  const given = names.filter((name) => {
    const value = schema[name];
    return value !== undefined && (typeof value !== 'number' || Math.abs(value) < Number.MAX_SAFE_INTEGER);
  });
  // A format's own pattern is long and says nothing more.
  const shown = given.filter((name) => name !== 'pattern' || !given.includes('format'));
  return shown.map((name) => ` <span class="note">${name} ${escapeHtml(String(schema[name]))}</span>`).join('');
}

function partsHtml(schema: Json): string {
  if (schema.type === 'array' && schema.items) return ` of ${schemaHtml(schema.items as Json)}`;
  const properties = schema.properties as Record<string, Json> | undefined;
  if (!properties) return '';
  const required = (schema.required as string[] | undefined) ?? [];
  const items = Object.entries(properties).map(
    ([name, part]) =>
      `<li><code>${escapeHtml(name)}</code>${required.includes(name) ? '' : ' <span class="note">optional</span>'}: ${schemaHtml(part)}</li>`,
  );
  return `<ul>${items.join('')}</ul>`;
}
