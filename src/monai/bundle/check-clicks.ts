import { EndpointError } from '../../errors.ts';
import type { ClickUse } from '../points.ts';

/**
 * Checks that a request's clicks are what the bundle takes: their number and labels. Where they lie is looked at when the
 * image is there.
 *
 * @throws EndpointError `invalid_request`
 */
export function checkClicks(
  use: ClickUse | undefined,
  clicks: readonly { readonly label?: string | undefined }[],
): void {
  if (!use) {
    if (clicks.length > 0) throw refused('This model takes no prompts: leave them out');
    return;
  }
  const { labels, least, most } = use;
  if (clicks.length < least || clicks.length > most) {
    const wanted = least === most ? `${least}` : `${least} to ${most}`;
    throw refused(
      `This model takes ${wanted} point${most === 1 ? '' : 's'} in "prompts"; the request has ${clicks.length}`,
    );
  }
  if (!labels) {
    if (clicks.some(({ label }) => label !== undefined))
      throw refused('The points of this model have no labels: leave "pointLabels" out');
    return;
  }
  if (!clicks.every(({ label }) => label !== undefined && labels.includes(label)))
    throw refused(`Each point needs one of this model's labels in "pointLabels": ${labels.join(', ')}`);
}

const refused = (what: string): EndpointError => new EndpointError('invalid_request', `${what}.`);
