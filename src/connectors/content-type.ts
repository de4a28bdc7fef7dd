/** A content type in its parts: names in lower case, quotes of values taken off. */
export function contentTypeParameters(contentType: string): { type: string; parameters: Map<string, string> } {
  const [type = '', ...parameters] = contentType.split(';').map((part) => part.trim());
  return { type: type.toLowerCase(), parameters: new Map(parameters.map(parseParameter)) };
}

function parseParameter(text: string): [string, string] {
  const at = text.indexOf('=');
  const value = text.slice(at + 1).trim();
  return [text.slice(0, at).trim().toLowerCase(), value.replace(/^"(.*)"$/, '$1')];
}
