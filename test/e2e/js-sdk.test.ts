import { gunzipSync } from 'node:zlib';
import {
  GetImageFrameCommand,
  GetImageSetCommand,
  GetImageSetMetadataCommand,
  ListDatastoresCommand,
  MedicalImagingClient,
  ResourceNotFoundException,
  SearchImageSetsCommand,
} from '@aws-sdk/client-medical-imaging';
import { InvokeEndpointCommand, ModelError, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

/** The unmodified SDK, with nothing set but the endpoint and the host-prefix switch; region and keys from the environment. */
describe.skipIf(!hasShared)('the JavaScript SDK', () => {
  let endpoint: TestEndpoint;
  let imaging: MedicalImagingClient;
  let runtime: SageMakerRuntimeClient;
  let id: { datastoreId: string; imageSetId: string };

  beforeAll(async () => {
    // The store checks signatures: through the front, from the pipeline processes, of the CLI.
    process.env.STORE_TOKEN = 'token of the store';
    process.env.AWS_ACCESS_KEY_ID ??= 'local';
    process.env.AWS_SECRET_ACCESS_KEY = process.env.STORE_TOKEN;
    process.env.AWS_REGION ??= 'us-east-1';
    endpoint = await startTestEndpoint();
    endpoint.addModel(shared('models/spleen_ct_demo'), 'team/spleen.tar.gz');
    await endpoint.importFolder(shared('data/ct-abdomen-30'));
    imaging = new MedicalImagingClient({ endpoint: endpoint.url, disableHostPrefix: true });
    runtime = new SageMakerRuntimeClient({ endpoint: endpoint.url });
  }, 120_000);
  afterAll(async () => {
    imaging?.destroy();
    runtime?.destroy();
    await endpoint?.stop();
  });

  it('finds the image set, reads its metadata and a frame', async () => {
    const { datastoreSummaries = [] } = await imaging.send(new ListDatastoresCommand({}));
    const datastoreId = datastoreSummaries[0]?.datastoreId as string;
    const found = await imaging.send(new SearchImageSetsCommand({ datastoreId, searchCriteria: {} }));
    expect(found.imageSetsMetadataSummaries).toHaveLength(1);
    id = { datastoreId, imageSetId: found.imageSetsMetadataSummaries?.[0]?.imageSetId as string };
    expect((await imaging.send(new GetImageSetCommand(id))).imageSetState).toBe('ACTIVE');
    const metadata = await imaging.send(new GetImageSetMetadataCommand(id));
    const blob = await metadata.imageSetMetadataBlob?.transformToByteArray();
    const document = JSON.parse(gunzipSync(blob as Uint8Array).toString('utf8'));
    const [series] = Object.values<{ Instances: Record<string, { ImageFrames: { ID: string }[] }> }>(
      document.Study.Series,
    );
    const instances = Object.values(series?.Instances ?? {});
    expect(instances).toHaveLength(30);
    const imageFrameId = instances[0]?.ImageFrames[0]?.ID as string;
    const frame = await imaging.send(new GetImageFrameCommand({ ...id, imageFrameInformation: { imageFrameId } }));
    const bytes = await frame.imageFrameBlob?.transformToByteArray();
    // SOC and SIZ of a JPEG 2000 family codestream.
    expect(
      Buffer.from(bytes ?? [])
        .subarray(0, 4)
        .toString('hex'),
    ).toBe('ff4fff51');
  });

  it('is refused by the store with another key', async () => {
    const credentials = { accessKeyId: 'local', secretAccessKey: 'another' };
    const other = new MedicalImagingClient({ endpoint: endpoint.url, disableHostPrefix: true, credentials });
    await expect(other.send(new ListDatastoresCommand({}))).rejects.toMatchObject({ name: 'AccessDeniedException' });
    other.destroy();
  });

  it('invokes with TargetModel, a slash in its name', async () => {
    const response = await runtime.send(
      new InvokeEndpointCommand({
        EndpointName: 'any',
        TargetModel: 'team/spleen.tar.gz',
        ContentType: 'application/json',
        InferenceId: 'from-js',
        Body: JSON.stringify({ inputs: [id] }),
      }),
    );
    expect(response.InvokedProductionVariant).toBe('AllTraffic');
    const answer = JSON.parse(new TextDecoder().decode(response.Body));
    // ../shared/README.md: 9,745 voxels by MONAI.
    expect(Math.abs(answer.measurements[0].voxels - 9745)).toBeLessThanOrEqual(36);
    expect(answer.inferenceId).toBe('from-js');
  });

  it("throws the SDK's own errors", async () => {
    const missing = { ...id, imageSetId: '0'.repeat(32) };
    await expect(imaging.send(new GetImageSetCommand(missing))).rejects.toBeInstanceOf(ResourceNotFoundException);
    const thrown = await runtime
      .send(
        new InvokeEndpointCommand({
          EndpointName: 'any',
          TargetModel: 'no.tar.gz',
          Body: JSON.stringify({ inputs: [id] }),
        }),
      )
      .catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(ModelError);
    expect((thrown as ModelError).OriginalStatusCode).toBe(404);
    expect(JSON.parse((thrown as ModelError).OriginalMessage ?? '')).toHaveProperty('error.code', 'model_not_found');
  });
});
