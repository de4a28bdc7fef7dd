import { expect, it } from 'vitest';
import { upstreamError } from '../../../src/connectors/aws-errors.ts';
import {
  adviceWhenDenied,
  createHealthImagingClient,
} from '../../../src/connectors/healthimaging/healthimaging-client.ts';

const refusal = Object.assign(new Error('User: arn:aws:sts::1:assumed-role/x'), {
  name: 'AccessDeniedException',
  $metadata: { httpStatusCode: 403 },
});

it.each([
  [{ region: 'eu-west-1' }, "the endpoint's role"],
  [{ endpoint: 'https://vpce-1.medical-imaging.eu-west-1.vpce.amazonaws.com' }, "the endpoint's role"],
  [{ endpoint: 'http://127.0.0.1:8080' }, 'STORE_TOKEN'],
  [{ endpoint: 'http://localhost:8080' }, 'STORE_TOKEN'],
  [{ endpoint: 'http://[::1]:8080' }, 'STORE_TOKEN'],
])('a refusal at %j tells what to do there', async (location, advice) => {
  const client = await createHealthImagingClient({ ...location, maxSockets: 1 });
  const error = upstreamError('HealthImaging', 'GetImageFrame', 'frame f', refusal, await adviceWhenDenied(client));
  client.destroy();
  expect(error.message).toContain(advice);
  expect(error.message).not.toContain('arn:');
});
