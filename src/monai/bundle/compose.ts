import { Arguments } from '../arguments.ts';
import { findTransform, monaiClassName, supportedTransforms } from '../transforms/registry.ts';
import type { CompileScope, Transform } from '../transforms/transform.ts';
import { Component, type ConfigValue, describeValue, isList } from './config-value.ts';
import { whyNot } from './known-refusals.ts';
import { unsupported } from './unsupported.ts';

/** More transforms than any bundle has: stops lists that refer to each other again and again. */
const maxTransforms = 500;
const maxDepth = 20;

/**
 * Compiles a `Compose` (or one transform alone) to the list of its transforms, nested ones in their place.
 *
 * @throws EndpointError `unsupported_bundle` naming target, file and place of what we do not run
 */
export function compileTransforms(value: ConfigValue, file: string, place: string, scope: CompileScope): Transform[] {
  const transforms: Transform[] = [];
  let visited = 0;
  const compile = (child: ConfigValue, at: string, depth: number): void => {
    if (!(child instanceof Component))
      throw unsupported(`A transform is expected, not ${describeValue(child)}.`, { file, place: at });
    if (depth > maxDepth || ++visited > maxTransforms)
      throw unsupported('The transforms are nested too deep, or too many.', { file, place: child.place }, child.target);
    if (monaiClassName(child.target) === 'Compose') {
      composed(child, file).forEach((step, n) => void compile(step, `${child.place}#transforms#${n}`, depth + 1));
    } else transforms.push(compileTransform(child, file, scope));
  };
  compile(value, place, 0);
  return transforms;
}

function compileTransform(component: Component, file: string, scope: CompileScope): Transform {
  const { target, place } = component;
  const found = findTransform(target);
  if (found)
    return found.definition.compile(new Arguments(component, file, found.isBare ? scope.bareKey : undefined), scope);
  throw unsupported(
    `The transform '${target.slice(0, 120)}' is not supported${whyNot(target, supportedTransforms)}.`,
    { file, place },
    target,
  );
}

/** The steps of a `Compose`. */
function composed(component: Component, file: string): readonly ConfigValue[] {
  const args = new Arguments(component, file);
  const given = args.raw('transforms') ?? [];
  args.only('lazy', false, null);
  args.only('overrides', null);
  args.only('unpack_items', false);
  args.accept('map_items', 'log_stats');
  args.finish();
  return isList(given) ? given : [given];
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
