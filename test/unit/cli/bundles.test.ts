import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatDescription } from '../../../src/cli/bundle-description.ts';
import { makeSecondModel } from '../../../src/cli/demo/second-model.ts';
import { inspectArchive } from '../../../src/cli/inspect-archive.ts';
import { packBundle } from '../../../src/cli/pack-bundle.ts';

const sample = fileURLToPath(new URL('../../../samples/spleen_ct_demo', import.meta.url));
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'map-endpoint-cli-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

interface Config {
  preprocessing: { transforms: object[] };
  postprocessing: { transforms: object[] };
  inferer: object;
}

/** A copy of the sample with its inference configuration changed. */
function changed(edit: (config: Config) => void): string {
  const copy = join(dir, 'bundle');
  cpSync(sample, copy, { recursive: true });
  const path = join(copy, 'configs', 'inference.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as Config;
  edit(config);
  writeFileSync(path, JSON.stringify(config));
  return copy;
}

describe('pack and inspect', () => {
  it('agree on what an archive is, and the same files give the same bytes', async () => {
    const packed = await packBundle(sample, join(dir, 'a.tar.gz'));
    await packBundle(sample, join(dir, 'sub', 'b.tar.gz'));
    expect(readFileSync(join(dir, 'a.tar.gz')).equals(readFileSync(join(dir, 'sub', 'b.tar.gz')))).toBe(true);
    for (const path of [join(dir, 'a.tar.gz'), sample]) {
      const [inspected] = await inspectArchive(path);
      expect(inspected).toMatchObject({ sha256: packed.sha256, name: 'spleen_ct_demo' });
      expect(inspected?.refusal).toBeUndefined();
      expect(inspected?.segments).toEqual([{ value: 1, label: 'Spleen' }]);
      expect(inspected?.steps.map(({ supported }) => supported)).not.toContain(false);
      expect(inspected?.steps.map(({ section }) => section)).toContain('inferer');
    }
  });

  it('name everything that is missing at once, with the reason, and pack nothing', async () => {
    const bundle = changed((config) => {
      config.preprocessing.transforms.push({ _target_: 'FrobnicateIntensityd', keys: 'image' });
      config.inferer = { _target_: 'scripts.my_inferer.MyInferer' };
      config.postprocessing.transforms.push({ _target_: 'os.system', command: 'true' });
    });
    const [inspected] = await inspectArchive(bundle);
    const missing = inspected?.steps.filter(({ supported }) => !supported);
    expect(missing?.map(({ target }) => target)).toEqual([
      'FrobnicateIntensityd',
      'scripts.my_inferer.MyInferer',
      'os.system',
    ]);
    for (const step of missing ?? []) expect(step.reason).toContain('not supported');
    const text = formatDescription(inspected as NonNullable<typeof inspected>).join('\n');
    expect(text).toMatch(/preprocessing +FrobnicateIntensityd +missing +The transform/);
    expect(text).toContain("This bundle can't be served: ");
    await expect(packBundle(bundle, join(dir, 'a.tar.gz'))).rejects.toMatchObject({ code: 'unsupported_bundle' });
    expect(readdirSync(dir)).toEqual(['bundle']);
  });

  it('say of a step that is known with an argument that is not, why', async () => {
    const bundle = changed((config) => {
      Object.assign(config.preprocessing.transforms[3] as object, { mode: 'spline' });
    });
    const [inspected] = await inspectArchive(bundle);
    const [step, ...others] = inspected?.steps.filter(({ supported }) => !supported) ?? [];
    expect(step?.target).toBe('Spacingd');
    expect(step?.reason).toContain('spline');
    // Invertd undoes Spacingd, so it can't be tried without it; nothing else is missing.
    expect(others.map(({ target }) => target).filter((target) => target !== 'Invertd')).toEqual([]);
  });

  it('refuse an archive that is cut, and what is none', async () => {
    await packBundle(sample, join(dir, 'a.tar.gz'));
    const whole = readFileSync(join(dir, 'a.tar.gz'));
    writeFileSync(join(dir, 'cut.tar.gz'), whole.subarray(0, whole.length >> 1));
    for (const name of ['cut.tar.gz', 'none.tar.gz']) {
      await expect(inspectArchive(join(dir, name))).rejects.toMatchObject({ code: 'invalid_archive' });
    }
    await expect(packBundle(join(dir, 'nothing'), join(dir, 'x.tar.gz'))).rejects.toMatchObject({
      code: 'invalid_archive',
    });
  });
});

describe("the demo's second model", () => {
  it('is a model of its own with the same network', async () => {
    const second = join(dir, 'second');
    await makeSecondModel(sample, second);
    const [[a], [b]] = [await inspectArchive(sample), await inspectArchive(second)];
    expect(b?.refusal).toBeUndefined();
    expect(b?.name).toBe('spleen_ct_quick');
    expect(b?.sha256).not.toBe(a?.sha256);
    expect(
      readFileSync(join(second, 'models/model.onnx')).equals(readFileSync(join(sample, 'models/model.onnx'))),
    ).toBe(true);
  });
});
