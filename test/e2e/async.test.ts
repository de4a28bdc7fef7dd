import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  InvokeEndpointAsyncCommand,
  type InvokeEndpointAsyncCommandInput,
  type InvokeEndpointAsyncCommandOutput,
  SageMakerRuntimeClient,
} from '@aws-sdk/client-sagemaker-runtime';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

type Answer = { inferenceId: string; measurements: { voxels: number }[]; outputs: { type: string; uri?: string }[] };
type Notification = { invocationStatus: string; inferenceId: string; failureReason?: string };

const pathOf = (uri: string | undefined): string => fileURLToPath(uri as string);
const read = <T>(uri: string | undefined): T => JSON.parse(readFileSync(pathOf(uri), 'utf8')) as T;
const linesOf = (path: string): Notification[] =>
  existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    : [];

/** The unmodified SDK against the queue of the local mode, with real volumes. */
describe.skipIf(!hasShared)('InvokeEndpointAsync', () => {
  let endpoint: TestEndpoint;
  let client: SageMakerRuntimeClient;
  let input: string;
  const settings = { PIPELINES: '2', WORKERS: '2' };

  const submit = (options: Partial<InvokeEndpointAsyncCommandInput>): Promise<InvokeEndpointAsyncCommandOutput> =>
    client.send(
      new InvokeEndpointAsyncCommand({ EndpointName: 'imaging', ContentType: 'application/json', ...options }),
    );
  const bodyOf = (more: object = {}): string => JSON.stringify({ model: 'spleen', inputs: [{ uri: input }], ...more });
  const written = (uri: string | undefined) => vi.waitFor(() => expect(existsSync(pathOf(uri))).toBe(true), 90_000);
  const notifications = (): Notification[] => linesOf(join(endpoint.filesDir, 'told.jsonl'));
  const connect = (): void => {
    client?.destroy();
    client = new SageMakerRuntimeClient({ endpoint: endpoint.url, maxAttempts: 1 });
  };

  beforeAll(async () => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) process.env[name] ??= 'local';
    process.env.AWS_REGION ??= 'us-east-1';
    endpoint = await startTestEndpoint(settings, (dir) => ['--async-notify', join(dir, 'told.jsonl')]);
    endpoint.addModel(shared('models/spleen_ct_demo'), 'spleen.tar.gz');
    endpoint.copyInput(shared('data/ct-abdomen-30'), 'ct');
    input = `${pathToFileURL(join(endpoint.filesDir, 'ct')).href}/`;
    connect();
  }, 120_000);
  afterAll(async () => {
    client?.destroy();
    await endpoint?.stop();
  });

  it('takes an inline body and writes the answer where it said', async () => {
    const accepted = await submit({ Body: Buffer.from(bodyOf()), InferenceId: 'inline-1' });
    expect(accepted.$metadata.httpStatusCode).toBe(202);
    expect(accepted.InferenceId).toBe('inline-1');
    await written(accepted.OutputLocation);
    const answer = read<Answer>(accepted.OutputLocation);
    // ../shared/README.md: 9,745 voxels by MONAI.
    expect(Math.abs((answer.measurements[0]?.voxels ?? 0) - 9745)).toBeLessThanOrEqual(36);
    expect(answer.inferenceId).toBe('inline-1');
    expect(existsSync(pathOf(accepted.FailureLocation))).toBe(false);
    await vi.waitFor(() =>
      expect(notifications()).toContainEqual({
        awsRegion: expect.any(String),
        eventTime: expect.any(String),
        receivedTime: expect.any(String),
        invocationStatus: 'Completed',
        requestParameters: { contentType: 'application/json', endpointName: 'imaging' },
        responseParameters: { contentType: 'application/json', outputLocation: accepted.OutputLocation },
        inferenceId: 'inline-1',
        eventVersion: '1.0',
        eventSource: 'aws:sagemaker',
        eventName: 'InferenceResult',
      }),
    );
  });

  it('takes the body from InputLocation, with an output folder and file name of the caller', async () => {
    const request = join(endpoint.filesDir, 'request.json');
    writeFileSync(request, bodyOf());
    const accepted = await submit({
      InputLocation: pathToFileURL(request).href,
      S3OutputPathExtension: 'day/one',
      Filename: 'spleen.json',
    });
    expect(accepted.OutputLocation).toMatch(/\/day\/one\/spleen\.json$/);
    expect(accepted.FailureLocation).toMatch(/\/day\/one\/spleen-error\.out$/);
    await written(accepted.OutputLocation);
    expect(read<Answer>(accepted.OutputLocation).inferenceId).toBe(accepted.InferenceId);
  });

  it('writes the error of the model where it said', async () => {
    const accepted = await submit({ Body: Buffer.from(bodyOf({ model: 'absent' })), InferenceId: 'fails' });
    await written(accepted.FailureLocation);
    expect(read(accepted.FailureLocation)).toMatchObject({ error: { code: 'model_not_found' } });
    expect(existsSync(pathOf(accepted.OutputLocation))).toBe(false);
    await vi.waitFor(() =>
      expect(notifications().find(({ inferenceId }) => inferenceId === 'fails')).toMatchObject({
        invocationStatus: 'Failed',
        failureReason: 'Received server error (404) from model: model_not_found',
      }),
    );
  });

  it('refuses what it will not read, before it takes the job', async () => {
    const outside = submit({ InputLocation: pathToFileURL(shared('README.md')).href });
    await expect(outside).rejects.toMatchObject({ name: 'ValidationError', $metadata: { httpStatusCode: 400 } });
    const both = submit({ InputLocation: `${input}x`, Body: Buffer.from(bodyOf()) });
    await expect(both).rejects.toMatchObject({ name: 'ValidationError' });
    await expect(submit({})).rejects.toMatchObject({ name: 'ValidationError' });
    await expect(submit({ Body: Buffer.alloc(128_001, ' ') })).rejects.toMatchObject({ name: 'ValidationError' });
    const short = submit({ Body: Buffer.from(bodyOf()), RequestTTLSeconds: 59 });
    await expect(short).rejects.toMatchObject({ name: 'ValidationError' });
  });

  it('gives the error of an invocation that takes longer than it may', async () => {
    endpoint.addModel(shared('models/spleen_ct_full'), 'full.tar.gz');
    const accepted = await submit({ Body: Buffer.from(bodyOf({ model: 'full' })), InvocationTimeoutSeconds: 1 });
    await written(accepted.FailureLocation);
    expect(read(accepted.FailureLocation)).toMatchObject({ error: { code: 'deadline_exceeded' } });
  });

  it('loses and doubles no job when it is killed in the middle of them, twice', async () => {
    const results = `${pathToFileURL(join(endpoint.filesDir, 'results')).href}/`;
    const jobs = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        submit({ Body: Buffer.from(bodyOf({ output: { uri: results } })), InferenceId: `killed-${index}` }),
      ),
    );
    for (const finished of [1, 4]) {
      await vi.waitFor(() => {
        const done = jobs.filter(({ OutputLocation }) => existsSync(pathOf(OutputLocation)));
        expect(done.length).toBeGreaterThanOrEqual(finished);
      }, 60_000);
      endpoint.process.kill('SIGKILL');
      await once(endpoint.process, 'exit');
      const done = jobs.filter(({ OutputLocation }) => existsSync(pathOf(OutputLocation)));
      expect(done.length, 'the kill must come in the middle').toBeLessThan(jobs.length);
      const before = new Map(done.map(({ InferenceId }) => [InferenceId, resultOf(InferenceId)]));
      await endpoint.restart();
      connect();
      await vi.waitFor(() => expect(notifications().length).toBeGreaterThan(0));
      for (const [id, result] of before) expect(resultOf(id), 'a finished job is not run again').toEqual(result);
    }
    for (const { OutputLocation } of jobs) await written(OutputLocation);
    for (const { OutputLocation, FailureLocation, InferenceId } of jobs) {
      const answer = read<Answer>(OutputLocation);
      expect(answer.inferenceId).toBe(InferenceId);
      expect(Math.abs((answer.measurements[0]?.voxels ?? 0) - 9745)).toBeLessThanOrEqual(36);
      for (const { uri } of answer.outputs) expect(existsSync(pathOf(uri))).toBe(true);
      expect(existsSync(pathOf(FailureLocation))).toBe(false);
    }
    await vi.waitFor(() => expect(readdirSync(join(endpoint.dataDir, 'async-jobs'))).toEqual([]));
    expect(readdirSync(join(endpoint.filesDir, 'results', 'spleen')).sort()).toEqual(
      jobs.map(({ InferenceId }) => InferenceId).sort(),
    );
    for (const { InferenceId } of jobs) {
      const told = notifications().filter(({ inferenceId }) => inferenceId === InferenceId);
      expect(told.length).toBeGreaterThanOrEqual(1);
      for (const { invocationStatus } of told) expect(invocationStatus).toBe('Completed');
    }
  });

  /** When the results of a job were written: a second run would write them again. */
  function resultOf(inferenceId: string | undefined): number {
    return statSync(join(endpoint.filesDir, 'results', 'spleen', inferenceId as string, 'result.json')).mtimeMs;
  }

  it('leaves what runs to the next start when it is told to stop', async () => {
    const accepted = await Promise.all(
      Array.from({ length: 4 }, () => submit({ Body: Buffer.from(bodyOf({ model: 'full' })) })),
    );
    const metrics = async (): Promise<string> => await (await fetch(`${endpoint.url}/metrics`)).text();
    expect(await metrics()).toMatch(/^map_endpoint_async_backlog 2$/m); // as many run as there are pipelines
    endpoint.process.kill('SIGTERM');
    await once(endpoint.process, 'exit');
    for (const { FailureLocation } of accepted) expect(existsSync(pathOf(FailureLocation))).toBe(false);
    await endpoint.restart();
    connect();
    for (const { OutputLocation } of accepted) await written(OutputLocation);
    for (const { OutputLocation } of accepted) {
      // ../shared/README.md: 8,812 voxels by MONAI.
      expect(Math.abs((read<Answer>(OutputLocation).measurements[0]?.voxels ?? 0) - 8812)).toBeLessThanOrEqual(36);
    }
    expect(await metrics()).toMatch(/^map_endpoint_async_backlog 0$/m);
  });
});
