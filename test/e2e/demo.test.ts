import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPart10 } from '../../src/formats/dicom/part10-reader.ts';
import { tags } from '../../src/formats/dicom/tags.ts';

const cli = fileURLToPath(new URL('../../dist/cli/map-endpoint.js', import.meta.url));

interface Report {
  readonly outDir: string;
  readonly timesMs: Record<string, number>;
  readonly models: readonly {
    readonly model: { readonly name: string; readonly sha256: string };
    readonly measurements: readonly { readonly segment: string; readonly voxels: number }[];
    readonly dice: number;
  }[];
}

describe('the demo', () => {
  let dir: string;
  let out: string;
  let report: Report;

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'map-endpoint-demo-test-'));
    out = join(dir, 'out', 'demo');
    mkdirSync(join(out, 'ct'), { recursive: true });
    writeFileSync(join(out, 'ct', 'left-over.dcm'), 'of an earlier demo');
    writeFileSync(join(out, 'mine.txt'), 'not the demo’s');
    report = JSON.parse(
      execFileSync(process.execPath, [cli, 'demo', '--json'], {
        cwd: dir,
        encoding: 'utf8',
        env: { ...process.env, STORE_TOKEN: 'set by whoever runs the demo' },
      }),
    ) as Report;
  }, 170_000);

  afterAll(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  it('finds the true spleen, as MONAI does with this bundle', () => {
    const [first] = report.models;
    expect(first?.dice).toBeGreaterThan(0.965);
    expect(first?.measurements).toMatchObject([{ segment: 'Spleen', value: 1 }]);
    // MONAI's own answer on this rendering: 136,038 voxels.
    expect(Math.abs((first?.measurements[0]?.voxels ?? 0) - 136_038)).toBeLessThan(136_038 * 1e-4);
  });

  it('gets an answer from a second model that came while the endpoint ran', () => {
    const [first, second] = report.models;
    expect(second?.model.name).toBe('spleen_ct_quick');
    expect(second?.model.sha256).not.toBe(first?.model.sha256);
    expect(second?.dice).toBeGreaterThan(0.95);
  });

  it('times every phase', () => {
    expect(Object.keys(report.timesMs)).toEqual(
      expect.arrayContaining([
        'render the phantom',
        'import into the store',
        'invoke the model',
        'invoke the second model',
      ]),
    );
  });

  it('writes the CT series, the SEG, the result and the overview, and leaves what is not its own', () => {
    expect(readdirSync(out).sort()).toEqual(['ct', 'mine.txt', 'overview.png', 'result.json', 'results', 'seg.dcm']);
    expect(readdirSync(join(out, 'ct')).filter((name) => /^CT\d{4}\.dcm$/.test(name))).toHaveLength(80);
    expect(existsSync(join(out, 'ct', 'left-over.dcm'))).toBe(false);
    const seg = readPart10(readFileSync(join(out, 'seg.dcm'))).dataset;
    const ct = readPart10(readFileSync(join(out, 'ct', 'CT0001.dcm'))).dataset;
    expect(seg.string(tags.Modality)).toBe('SEG');
    expect(seg.string(tags.StudyInstanceUID)).toBe(ct.string(tags.StudyInstanceUID));
    const result = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8')) as {
      outputs: { uri: string; bytes: number }[];
    };
    for (const { uri, bytes } of result.outputs) expect(readFileSync(fileURLToPath(uri))).toHaveLength(bytes);
    const picture = decode(readFileSync(join(out, 'overview.png')));
    expect(picture.width).toBeGreaterThan(2 * picture.height);
    expect(new Set(picture.data).size).toBeGreaterThan(50);
  });

  it('leaves no temporary folder and no process', () => {
    expect(
      readdirSync(tmpdir()).filter((name) => name.startsWith('map-endpoint-demo-') && !dir.endsWith(name)),
    ).toEqual([]);
  });

  it('ends with 1 when its output folder can not be made', () => {
    writeFileSync(join(dir, 'file'), '');
    const ended = spawnSync(process.execPath, [cli, 'demo', '--out', join(dir, 'file', 'x'), '--json'], {
      encoding: 'utf8',
    });
    expect(ended.status).toBe(1);
    expect(JSON.parse(ended.stdout)).toHaveProperty('error.code', 'ENOTDIR');
  });
});
