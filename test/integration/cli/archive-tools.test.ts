import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectArchive } from '../../../src/cli/inspect-archive.ts';
import { writeNifti } from '../../../src/formats/nifti/writer.ts';
import { labelledBundle, zeroVolume } from '../../support/labelled-bundle.ts';

const cli = fileURLToPath(new URL('../../../dist/cli/map-endpoint.js', import.meta.url));
const sample = fileURLToPath(new URL('../../../samples/spleen_ct_demo', import.meta.url));
const affineRas = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'map-endpoint-tools-'));
  writeFileSync(join(dir, 'zeros.nii.gz'), await zeroVolume());
  writeBundle('labelled', labelledBundle(7));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function writeBundle(name: string, files: Readonly<Record<string, Buffer | string>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name, path)), { recursive: true });
    writeFileSync(join(dir, name, path), content);
  }
  return join(dir, name);
}

function run(...args: string[]): { status: number | null; json: Readonly<Record<string, unknown>>; stderr: string } {
  const ended = spawnSync(process.execPath, [cli, ...args, '--json'], { cwd: dir, encoding: 'utf8' });
  return { status: ended.status, json: JSON.parse(ended.stdout), stderr: ended.stderr };
}

describe('pack', () => {
  it('runs one window, and adds a map.json with codes to a bundle that has none', async () => {
    const bundle = join(dir, 'spleen');
    spawnSync('cp', ['-r', sample, bundle]);
    rmSync(join(bundle, 'map.json'));
    const { status, json } = run('pack', bundle, '-o', 'out/spleen.tar.gz');
    expect(status).toBe(0);
    expect(json).toMatchObject({
      trial: {
        windowShape: [1, 1, 96, 96, 96],
        answerShape: [1, 2, 96, 96, 96],
        result: { channels: 1, fromArgmax: true },
        notes: [],
        map: { outputs: [{ segments: [{ value: 1, propertyType: ['78961009', 'SCT', 'Spleen'] }] }, { type: 'json' }] },
      },
      results: ['dicom-seg', 'json'],
    });
    const [packed] = await inspectArchive(join(dir, 'out/spleen.tar.gz'));
    expect(packed?.segments).toEqual([{ value: 1, label: 'Spleen' }]);
    expect(packed?.results).toEqual(['dicom-seg', 'json']);
  });

  it('leaves a map.json as it is, and the bundle alone with --no-map', async () => {
    const kept = run('pack', 'labelled', '-o', 'kept.tar.gz');
    expect(kept.json).toMatchObject({ results: ['json'], trial: { windowShape: [1, 1, 4, 4, 4] } });
    expect(run('pack', 'spleen', '--no-map', '-o', 'bare.tar.gz').json).not.toHaveProperty('results');
  });

  it('refuses a network with other channels than the metadata tells', () => {
    const files = labelledBundle(7);
    const metadata = String(files['configs/metadata.json']).replaceAll('"num_channels":1', '"num_channels":4');
    writeBundle('wrong', { ...files, 'configs/metadata.json': metadata });
    const { status, json } = run('pack', 'wrong', '-o', 'wrong.tar.gz');
    expect(status).toBe(1);
    expect(json).toMatchObject({
      error: { code: 'unsupported_bundle', message: expect.stringContaining('4 channels, models/model.onnx 1') },
    });
  });
});

describe('validate', () => {
  it('passes for equal labels, and fails with the figures for others', async () => {
    const expected = async (name: string, change: (labels: Uint8Array) => void): Promise<string> => {
      const data = new Uint8Array(64).fill(7);
      change(data);
      writeFileSync(join(dir, name), await writeNifti({ data, shape: [4, 4, 4], affineRas }));
      return name;
    };
    const right = run('validate', 'labelled', '--golden', 'zeros.nii.gz', await expected('right.nii.gz', () => {}));
    expect(right.json).toMatchObject({ passed: true, differing: 0, voxels: 64, labels: [{ value: 7, dice: 1 }] });
    expect(right.status).toBe(0);
    const wrong = await expected('wrong.nii.gz', (labels) => labels.fill(3, 0, 16));
    const other = run('validate', 'kept.tar.gz', '--golden', 'zeros.nii.gz', wrong);
    expect(other.status).toBe(1);
    expect(other.json).toMatchObject({ passed: false, differing: 16, labels: [{ value: 3, dice: 0 }, { value: 7 }] });
    expect(other.stderr).toContain('Dice is under 0.999 for the labels 3, 7.');
  });
});

describe('bench', () => {
  it('measures warm requests by themselves', () => {
    const { status, json } = run('bench', 'kept.tar.gz', '--input', 'zeros.nii.gz', '--runs', '2');
    expect(status).toBe(0);
    expect(json).toMatchObject({ runs: 2, image: 'zeros.nii.gz' });
    const { firstMs, minMs, maxMs, medianMs, phaseMs } = json as Record<string, number> & {
      phaseMs: { total: number };
    };
    expect(firstMs).toBeGreaterThan(medianMs as number);
    expect((minMs as number) <= (medianMs as number) && (medianMs as number) <= (maxMs as number)).toBe(true);
    expect(phaseMs.total).toBeGreaterThan(0);
  });
});
