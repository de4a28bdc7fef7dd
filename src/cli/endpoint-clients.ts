import { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';
import { SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { isOwnHost } from '../api/own-host.ts';
import { UsageError } from './exit-codes.ts';

/** True when the endpoint is on this machine: it then shares our file system. */
export const isLocalEndpoint = (endpointUrl: string): boolean => isOwnHost(parseEndpoint(endpointUrl).host, '');

/** SageMaker Runtime at an endpoint; one attempt a call, since an inference is no cheap thing to repeat. */
export function runtimeClient(endpointUrl: string): SageMakerRuntimeClient {
  return new SageMakerRuntimeClient({ ...settings(endpointUrl), maxAttempts: 1 });
}

/** HealthImaging at an endpoint, without the host prefix that the SDK puts before any endpoint (field-facts §1.2). */
export function imagingClient(endpointUrl: string, token?: string): MedicalImagingClient {
  return new MedicalImagingClient({ ...settings(endpointUrl, token), disableHostPrefix: true });
}

/** A local server asks for no credentials but perhaps its token, yet the SDK won't send a request without some. */
function settings(endpointUrl: string, token = 'local') {
  const endpoint = parseEndpoint(endpointUrl).origin;
  if (!isLocalEndpoint(endpointUrl)) return { endpoint };
  return { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: token } };
}

function parseEndpoint(endpointUrl: string): URL {
  if (!/^https?:\/\//.test(endpointUrl) || !URL.canParse(endpointUrl)) {
    throw new UsageError('--endpoint-url takes a URL such as http://127.0.0.1:8080.');
  }
  return new URL(endpointUrl);
}
