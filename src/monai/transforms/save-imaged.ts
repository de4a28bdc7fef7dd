import type { Transform, TransformDefinition } from './transform.ts';

/**
 * MONAI `SaveImaged`: names the images that are results. They are written by the endpoint's own writers, so folder,
 * name and file format of the bundle have no effect.
 */
export const saveImaged: TransformDefinition = {
  target: 'SaveImaged',
  compile(args): Transform {
    const keys = args.keys();
    args.only('resample', false, null);
    args.accept('scale');
    args.accept('meta_keys', 'meta_key_postfix', 'output_dir', 'output_postfix', 'output_ext', 'output_dtype', 'dtype');
    args.accept('mode', 'padding_mode', 'allow_missing_keys', 'squeeze_end_dims', 'data_root_dir', 'separate_folder');
    args.accept(
      'print_log',
      'output_format',
      'writer',
      'output_name_formatter',
      'folder_layout',
      'savepath_in_metadict',
    );
    args.finish();
    return { component: args.component, keys, saves: keys, ignoresChannel: true, apply: async () => {} };
  },
};

/** MONAI `SaveClassificationd`: names the class figures that are a result; the endpoint writes them itself. */
export const saveClassificationd: TransformDefinition = {
  target: 'SaveClassificationd',
  compile(args): Transform {
    const keys = args.keys();
    if (keys.length !== 1) throw args.refuse("'keys' must be one key");
    args.only('saver', null);
    args.accept('meta_keys', 'meta_key_postfix', 'output_dir', 'filename', 'delimiter', 'overwrite', 'flush');
    args.accept('allow_missing_keys');
    args.finish();
    return { component: args.component, keys, saves: keys, ignoresChannel: true, apply: async () => {} };
  },
};
