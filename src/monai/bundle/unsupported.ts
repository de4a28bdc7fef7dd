import { EndpointError } from '../../errors.ts';

/** Where in a bundle something stands: file relative to the bundle, and place in the document. */
export interface Place {
  readonly file: string;
  /** `preprocessing#transforms#3`; empty for the whole document. */
  readonly place: string;
}

/** The refusal of something that this program does not run: names what, the file and the place in it. */
export function unsupported(what: string, at: Place, target?: string): EndpointError {
  const where = at.place === '' ? at.file : `${at.file}, ${at.place}`;
  return new EndpointError('unsupported_bundle', `${what} (${where})`, {
    details: { file: at.file, place: at.place, ...(target === undefined ? {} : { target }) },
  });
}
