import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';

/** Where HealthImaging is. All undefined: AWS's own, as the SDK's environment says. */
export interface HealthImagingLocation {
  readonly region?: string | undefined;
  /** Another endpoint (the local store): the SDK's host prefix is switched off, since no such host exists. */
  readonly endpoint?: string | undefined;
  /** Given for an endpoint that checks no signatures; else the SDK's own chain finds them. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** Sockets kept open and used at once. */
  readonly maxSockets: number;
}

/** Kept-alive sockets, one agent for each protocol. */
export interface HealthImagingAgents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** A store on this machine knows no roles, but perhaps a token, without which it refuses everything. */
const tokenAdvice = 'If the store on this machine has a token, give it as STORE_TOKEN (or --token).';

/** What to do when the place that a client speaks to refuses; undefined: what one does at AWS. */
export async function adviceWhenDenied({ config }: MedicalImagingClient): Promise<string | undefined> {
  const { hostname = '' } = (await config.endpoint?.()) ?? {};
  return /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/.test(hostname) ? tokenAdvice : undefined;
}

/** The client's sockets; `destroy` of the client closes them. */
export function createHealthImagingAgents({ maxSockets }: HealthImagingLocation): HealthImagingAgents {
  const options = { keepAlive: true, maxSockets };
  return { http: new HttpAgent(options), https: new HttpsAgent(options) };
}

/**
 * A client with keep-alive, one attempt a call (retries are ours: they cover the body as well) and no time limits but
 * ours. The SDK is imported on first use: it costs 0.13 s that no other request should pay.
 */
export async function createHealthImagingClient(
  location: HealthImagingLocation,
  agents: HealthImagingAgents = createHealthImagingAgents(location),
): Promise<MedicalImagingClient> {
  const { MedicalImagingClient } = await import('@aws-sdk/client-medical-imaging');
  const { endpoint } = location;
  const region = location.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  return new MedicalImagingClient({
    maxAttempts: 1,
    requestHandler: { httpAgent: agents.http, httpsAgent: agents.https },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint, disableHostPrefix: true }),
    ...(location.credentials ? { credentials: location.credentials } : {}),
  });
}
