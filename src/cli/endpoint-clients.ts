import { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';
import { SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { isOwnHost } from '../api/own-host.ts';
import type { HealthImagingLocation } from '../connectors/healthimaging/healthimaging-client.ts';
import { UsageError } from './exit-codes.ts';

/** True when the endpoint is on this machine: it then shares our file system. */
export const isLocalEndpoint = (endpointUrl: string): boolean => isOwnHost(parseEndpoint(endpointUrl).host, '');

/** SageMaker Runtime at an endpoint; one attempt a call, since an inference is no cheap thing to repeat. */
export function runtimeClient(endpointUrl: string): SageMakerRuntimeClient {
  return new SageMakerRuntimeClient({ ...settings(endpointUrl), maxAttempts: 1 });
}

/** Which HealthImaging a command speaks to: AWS's own where a region is given, else an endpoint. */
export interface ImagingFlags {
  readonly endpointUrl: string;
  readonly region?: string | undefined;
  /** Secret access key for a store on this machine that asks for one. */
  readonly token?: string | undefined;
}

/** HealthImaging; at an endpoint without the host prefix that the SDK puts before any (field-facts §1.2). */
export function imagingClient({ endpointUrl, region, token }: ImagingFlags): MedicalImagingClient {
  if (region !== undefined) return new MedicalImagingClient({ region });
  return new MedicalImagingClient({ ...settings(endpointUrl, token), disableHostPrefix: true });
}

/** The same place for the connectors. */
export function imagingLocation({ endpointUrl, region, token }: ImagingFlags): HealthImagingLocation {
  return { ...(region === undefined ? settings(endpointUrl, token) : { region }), maxSockets: 32 };
}

/** True for AWS itself and for endpoints elsewhere: neither shares our file system. */
export const isRemote = ({ endpointUrl, region }: ImagingFlags): boolean =>
  region !== undefined || !isLocalEndpoint(endpointUrl);

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
