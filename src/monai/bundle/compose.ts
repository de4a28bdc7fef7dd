import { Arguments } from '../arguments.ts';
import { findTransform, supportedTransforms } from '../transforms/registry.ts';
import type { CompileScope, Transform } from '../transforms/transform.ts';
import { Component, type ConfigValue, describeValue, isList } from './config-value.ts';
import { unsupported } from './unsupported.ts';

/**
 * Compiles a `Compose` (or one transform alone) to the list of its transforms, nested ones in their place.
 *
 * @throws EndpointError `unsupported_bundle` naming target, file and place of what we do not run
 */
export function compileTransforms(value: ConfigValue, file: string, place: string, scope: CompileScope): Transform[] {
  if (!(value instanceof Component))
    throw unsupported(`A transform is expected, not ${describeValue(value)}.`, { file, place });
  const name = value.target.replace(/^monai\.(?:\w+\.)*/, '');
  if (name === 'Compose') return compileCompose(value, file, scope);
  const definition = findTransform(value.target);
  if (!definition) {
    throw unsupported(
      `The transform '${value.target.slice(0, 120)}' is not supported; supported are ${supportedTransforms.join(', ')}.`,
      { file, place: value.place },
      value.target,
    );
  }
  return [definition.compile(new Arguments(value, file), scope)];
}

function compileCompose(component: Component, file: string, scope: CompileScope): Transform[] {
  const args = new Arguments(component, file);
  const given = args.raw('transforms') ?? [];
  args.only('lazy', false, null);
  args.only('overrides', null);
  args.only('unpack_items', false);
  args.accept('map_items', 'log_stats');
  args.finish();
  const list = isList(given) ? given : [given];
  return list.flatMap((child, n) => compileTransforms(child, file, `${component.place}#transforms#${n}`, scope));
}

/** Puts neighbours together that do their work in one pass. */
export function fused(transforms: readonly Transform[]): Transform[] {
  const result: Transform[] = [];
  for (let n = 0; n < transforms.length; n++) {
    const current = transforms[n] as Transform;
    const next = transforms[n + 1];
    const both = next && current.fuse?.(next);
    if (both) n++;
    result.push(both ?? current);
  }
  return result;
}
