import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';
import type { HealthImagingAgents } from './healthimaging-client.ts';

export interface FrameReference {
  readonly datastoreId: string;
  readonly imageSetId: string;
  readonly imageFrameId: string;
}

/** Where the operation's paths start. */
interface ServiceAddress {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: number | undefined;
  /** Without a slash at its end. */
  readonly basePath: string;
}

type RequestSigner = Awaited<ReturnType<MedicalImagingClient['config']['signer']>>;

/** The operation's host prefix in the service model. */
const hostPrefix = 'runtime-';

/** An answer that is no frame, in the form of the SDK's own errors (`name`, `$metadata`). */
class FrameRequestError extends Error {
  readonly $metadata: { readonly httpStatusCode: number };

  constructor(name: string, status: number) {
    super(`GetImageFrame was answered with status ${status}.`);
    this.name = name;
    this.$metadata = { httpStatusCode: status };
  }
}

/**
 * `GetImageFrame` (HealthImaging API, 2023-07-19) as one plain HTTP request: address, credentials, clock and signature are
 * the SDK client's, its chain of middlewares is left out. A series has hundreds of frames, and the chain takes more
 * processor time than the decoding of a frame.
 */
export class FrameRequests {
  readonly #config: MedicalImagingClient['config'];
  readonly #agents: HealthImagingAgents;
  #address: Promise<ServiceAddress> | undefined;
  #signer: Promise<RequestSigner> | undefined;

  /** @param agents - the client's own: its `destroy` closes them */
  constructor(client: MedicalImagingClient, agents: HealthImagingAgents) {
    this.#config = client.config;
    this.#agents = agents;
  }

  /**
   * Asks for one frame.
   *
   * @returns the answer, its body unread
   * @throws an error with the service's `name` and `$metadata.httpStatusCode`; the socket's; what the credentials' provider
   *   throws
   */
  async send(frame: FrameReference, signal: AbortSignal): Promise<IncomingMessage> {
    this.#address ??= resolveAddress(this.#config);
    const { protocol, hostname, port, basePath } = await this.#address;
    const path = `${basePath}/datastore/${frame.datastoreId}/imageSet/${frame.imageSetId}/getImageFrame`;
    const body = JSON.stringify({ imageFrameId: frame.imageFrameId });
    const headers = {
      host: port === undefined ? hostname : `${hostname}:${port}`,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    };
    const target = { method: 'POST', protocol, hostname, path, ...(port === undefined ? {} : { port }) };
    this.#signer ??= this.#config.signer();
    const signer = await this.#signer;
    // The SDK learns the offset from the answer to the metadata call that precedes every frame.
    const signingDate = new Date(Date.now() + this.#config.systemClockOffset);
    const signed = await signer.sign({ ...target, query: {}, headers, body }, { signingDate });
    return new Promise((resolve, reject) => {
      const options = { ...target, headers: signed.headers, signal };
      const sent =
        protocol === 'http:'
          ? httpRequest({ ...options, agent: this.#agents.http })
          : httpsRequest({ ...options, agent: this.#agents.https });
      sent.once('error', reject);
      sent.once('response', (answer) => {
        const status = answer.statusCode ?? 0;
        if (status === 200) return resolve(answer);
        answer.destroy();
        reject(new FrameRequestError(errorName(answer), status));
      });
      sent.end(body);
    });
  }
}

/** As the SDK finds it: the endpoint given, else the rules of the service with the operation's host prefix. */
async function resolveAddress(config: MedicalImagingClient['config']): Promise<ServiceAddress> {
  const given = await config.endpoint?.();
  if (given) return addressOf(given.protocol, given.hostname, given.port, given.path);
  const { url } = config.endpointProvider({
    Region: await config.region(),
    UseDualStack: await config.useDualstackEndpoint(),
    UseFIPS: await config.useFipsEndpoint(),
  });
  const hostname = config.disableHostPrefix ? url.hostname : `${hostPrefix}${url.hostname}`;
  return addressOf(url.protocol, hostname, url.port === '' ? undefined : Number(url.port), url.pathname);
}

const addressOf = (protocol: string, hostname: string, port: number | undefined, path: string): ServiceAddress => ({
  protocol,
  hostname,
  port,
  basePath: path.replace(/\/$/, ''),
});

/** `x-amzn-errortype: Name:http://…` in REST-JSON. */
function errorName({ headers }: IncomingMessage): string {
  const [name = ''] = String(headers['x-amzn-errortype'] ?? '').split(/[:,]/);
  return name.trim() || 'UnknownError';
}
