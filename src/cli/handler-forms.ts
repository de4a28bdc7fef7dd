/** Forms of a handler that `map-endpoint new-handler` writes; folders of `samples/handlers`. */
export const handlerForms = ['class', 'module', 'inference'] as const;

/** What `map-endpoint new-handler` was told. */
export interface NewHandlerFlags {
  readonly form: (typeof handlerForms)[number];
  readonly json: boolean;
}
