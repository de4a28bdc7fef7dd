import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tags } from '../../src/formats/dicom/tags.ts';
import { copySeries, rewriteDicom } from '../support/dicom-variants.ts';
import { resultSums, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

interface Answer {
  readonly model: { readonly name: string };
  readonly inferenceId: string;
  readonly outputs: readonly { readonly type: string; readonly sha256: string }[];
}

/** 8 requests at once, 3 models, 2 image sets: each answer its own, and equal to its quiet run. */
describe.skipIf(!hasShared)('concurrent requests', () => {
  let endpoint: TestEndpoint;
  const bodies: { target: string; body: object }[] = [];

  beforeAll(async () => {
    endpoint = await startTestEndpoint({ WORKERS: '2', PIPELINES: '3' });
    for (const model of ['spleen_ct_full', 'spleen_ct_demo'])
      endpoint.addModel(shared(`models/${model}`), `${model}.tar.gz`);
    endpoint.addModel(shared('models/spleen_ct_demo'), 'team/second.tar.gz');
    const imageSets: { datastoreId: string; imageSetId: string }[] = [];
    // The other patient lacks three slices at each end: another shape, other answers.
    const other = mkdtempSync(join(tmpdir(), 'other-patient-'));
    copySeries(shared('data/ct-abdomen-30'), other, (name, bytes) => {
      const number = Number(/\d+/.exec(name)?.[0]);
      if (number <= 3 || number > 27) return undefined;
      return rewriteDicom(bytes, {
        [tags.PatientID]: ['LO', 'other'],
        [tags.StudyInstanceUID]: ['UI', '1.2.3.4'],
        [tags.SeriesInstanceUID]: ['UI', '1.2.3.4.5'],
        [tags.SOPInstanceUID]: ['UI', `1.2.3.4.5.${number}`],
      });
    });
    for (const series of [shared('data/ct-abdomen-30'), other]) {
      const imported = await endpoint.importFolder(series);
      imageSets.push({ datastoreId: imported.datastoreId, imageSetId: imported.imageSets[0]?.imageSetId as string });
    }
    const targets = ['spleen_ct_full.tar.gz', 'spleen_ct_demo.tar.gz', 'team/second.tar.gz'];
    for (let n = 0; n < 8; n++) {
      const target = targets[n % targets.length] as string;
      bodies.push({ target, body: { inputs: [imageSets[n % imageSets.length]], inferenceId: `request-${n}` } });
    }
  }, 120_000);
  afterAll(() => endpoint?.stop());

  const invoke = async (n: number): Promise<Answer> => {
    const { target, body } = bodies[n] as (typeof bodies)[number];
    const response = await endpoint.invoke(target, body);
    const answer = (await response.json()) as Answer;
    expect(response.status, JSON.stringify(answer).slice(0, 300)).toBe(200);
    return answer;
  };

  it('keeps every answer its own and the front awake', async () => {
    const quiet: Answer[] = [];
    for (const n of bodies.keys()) quiet.push(await invoke(n));
    await (await fetch(`${endpoint.url}/metrics`)).text(); // the histogram of the event loop's delay starts anew at each read
    const busy = await Promise.all([...bodies.keys()].map(invoke));
    const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
    for (const [n, answer] of busy.entries()) {
      expect(answer.inferenceId).toBe(`request-${n}`);
      expect(answer.model.name).toBe(quiet[n]?.model.name);
      expect(resultSums(answer)).toEqual(resultSums(quiet[n] as Answer));
    }
    const different = new Set(busy.map((answer) => resultSums(answer)[0]?.[1]));
    expect(different.size).toBe(8);
    const p99Seconds = Number(/^nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(metrics)?.[1]);
    expect(p99Seconds).toBeGreaterThan(0);
    // The bound of 20 ms is a benchmark's (machines are noisy); a front that did pixels would be off by far more.
    expect(p99Seconds).toBeLessThan(0.25);
  }, 180_000);
});
