import { once } from 'node:events';
import { createWriteStream, readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { InvokeEndpointAsyncCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ZipFile } from 'yazl';
import { hasS3Server, type S3Server, startS3Server } from '../support/connectors/s3-server.ts';
import { startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

const { signal } = new AbortController();

/** Inputs, outputs and errors in a real S3 server, finished jobs told to a webhook. */
describe.skipIf(!hasShared || !hasS3Server)('InvokeEndpointAsync with S3', () => {
  let server: S3Server;
  let endpoint: TestEndpoint;
  let client: SageMakerRuntimeClient;
  let hook: Server;
  const told: { invocationStatus: string; inferenceId: string; responseParameters?: object }[] = [];

  const object = (uri: string) => {
    const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/(.*)$/.exec(uri) ?? [];
    return { bucket, key };
  };
  const answerAt = (uri: string | undefined) =>
    vi.waitFor(async () => {
      const bytes = await server.objects.read(object(uri as string), 1e7, signal);
      expect(bytes, 'the output is there').toBeDefined();
      return JSON.parse(Buffer.from(bytes as Uint8Array).toString('utf8'));
    }, 90_000);
  const request = { model: 'spleen', inputs: [{ uri: 's3://bucket/in/ct/' }], output: { uri: 's3://bucket/results/' } };
  const put = (key: string, bytes: Uint8Array, type = 'application/json') =>
    server.objects.write({ bucket: 'bucket', key }, bytes, type, signal);

  beforeAll(async () => {
    server = await startS3Server();
    await server.createBucket('bucket');
    const folder = shared('data/ct-abdomen-30');
    for (const name of readdirSync(folder)) await put(`in/ct/${name}`, readFileSync(join(folder, name)));
    hook = createServer(async (incoming, response) => {
      let body = '';
      for await (const chunk of incoming) body += chunk;
      told.push(JSON.parse(body));
      response.end();
    }).listen(0, '127.0.0.1');
    await once(hook, 'listening');
    const hookUrl = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
    const { accessKeyId, secretAccessKey } = server.credentials;
    endpoint = await startTestEndpoint(
      {
        AWS_ENDPOINT_URL_S3: server.endpoint,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_REGION: 'us-east-1',
        ASYNC_FAILURE_URI: 's3://bucket/failures',
      },
      () => ['--allow', 's3://bucket/', '--async-output', 's3://bucket/async', '--async-notify', hookUrl],
    );
    endpoint.addModel(shared('models/spleen_ct_demo'), 'spleen.tar.gz');
    client = new SageMakerRuntimeClient({
      endpoint: endpoint.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      maxAttempts: 1,
    });
  }, 120_000);
  afterAll(async () => {
    client?.destroy();
    await endpoint?.stop();
    hook?.close();
    await server?.close();
  });
  const submit = (InputLocation: string, InferenceId: string) =>
    client.send(
      new InvokeEndpointAsyncCommand({
        EndpointName: 'e',
        ContentType: 'application/json',
        InputLocation,
        InferenceId,
      }),
    );

  it('reads the request from S3, writes the answer there and tells of it', async () => {
    await put('in/request.json', Buffer.from(JSON.stringify(request)));
    const accepted = await submit('s3://bucket/in/request.json', 'in-s3');
    expect(accepted.OutputLocation).toMatch(/^s3:\/\/bucket\/async\/[0-9a-f-]{36}\.out$/);
    expect(accepted.FailureLocation).toMatch(/^s3:\/\/bucket\/failures\/[0-9a-f-]{36}-error\.out$/);
    const answer = await answerAt(accepted.OutputLocation);
    // ../shared/README.md: 9,745 voxels by MONAI.
    expect(Math.abs(answer.measurements[0].voxels - 9745)).toBeLessThanOrEqual(36);
    expect(answer.outputs[0].uri).toMatch(/^s3:\/\/bucket\/results\/spleen\/in-s3\//);
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told[0]).toMatchObject({
      invocationStatus: 'Completed',
      inferenceId: 'in-s3',
      requestParameters: { inputLocation: 's3://bucket/in/request.json' },
      responseParameters: { outputLocation: accepted.OutputLocation },
    });
  });

  it('takes images of more than a megabyte as the body', async () => {
    const folder = shared('data/ct-abdomen-30');
    const zip = new ZipFile();
    for (const name of readdirSync(folder)) zip.addFile(join(folder, name), name, { compress: false });
    // A file that image readers pass over makes it too big for the front's memory.
    zip.addBuffer(Buffer.alloc(1024 ** 2), 'Thumbs.db', { compress: false });
    zip.end();
    const path = join(endpoint.filesDir, 'ct.zip');
    await pipeline(zip.outputStream, createWriteStream(path));
    const bytes = readFileSync(path);
    expect(bytes.length).toBeGreaterThan(1024 ** 2);
    await put('in/ct.zip', bytes, 'application/zip');
    const response = await fetch(`${endpoint.url}/endpoints/e/async-invocations`, {
      method: 'POST',
      headers: {
        'x-amzn-sagemaker-inputlocation': 's3://bucket/in/ct.zip',
        'x-amzn-sagemaker-content-type': 'application/zip',
        'x-amzn-sagemaker-target-model': 'spleen.tar.gz',
      },
    });
    expect(response.status).toBe(202);
    const answer = await answerAt(response.headers.get('x-amzn-sagemaker-outputlocation') ?? '');
    expect(Math.abs(answer.measurements[0].voxels - 9745)).toBeLessThanOrEqual(36);
  });

  it('gives an input that is not there as a failure', async () => {
    const accepted = await submit('s3://bucket/in/none.json', 'absent');
    expect(await answerAt(accepted.FailureLocation)).toMatchObject({ error: { code: 'input_not_found' } });
  });

  it('refuses another bucket at once', async () => {
    await expect(submit('s3://other/in/request.json', 'other')).rejects.toMatchObject({ name: 'ValidationError' });
  });
});
