import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { demoGrid, renderPhantom } from '../src/cli/demo/phantom.ts';
import { parsePhantom } from '../src/cli/demo/phantom-description.ts';
import { writePhantomSeries } from '../src/cli/demo/phantom-series.ts';

/** Writes the phantom as a CT series of 512×512×`slices` at 3 mm into an empty folder; gives the shape. */
export async function phantomSeries(dir: string, slices: number): Promise<readonly [number, number, number]> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const sample = fileURLToPath(new URL('../samples/phantom.json', import.meta.url));
  const { image } = renderPhantom(parsePhantom(readFileSync(sample, 'utf8')), { ...demoGrid, slices });
  await writePhantomSeries(dir, image);
  return image.shape;
}
