import { EndpointError } from '../../errors.ts';

/** The error of everything that is wrong with received image data. The message must hold no patient data. */
export function unprocessable(message: string, cause?: unknown): EndpointError {
  return new EndpointError('unprocessable_image', message, cause === undefined ? {} : { cause });
}

/** `(0028,0010)`, for messages. */
export function tagText(tag: number): string {
  const hex = (tag >>> 0).toString(16).padStart(8, '0').toUpperCase();
  return `(${hex.slice(0, 4)},${hex.slice(4)})`;
}
