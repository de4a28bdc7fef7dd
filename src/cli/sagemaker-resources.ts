import { SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { signedHeaders } from '../connectors/sigv4.ts';
import { EndpointError } from '../errors.ts';

/** What SageMaker keeps for an endpoint, in the order in which it can be deleted. */
const kinds = ['Endpoint', 'EndpointConfig', 'Model'] as const;

export interface SageMakerResource {
  readonly kind: (typeof kinds)[number];
  readonly name: string;
}

/**
 * The few calls to SageMaker's control plane that cleaning up needs: its SDK client would be 20 MB more to install.
 * Signed with what the SDK's credential chain gives.
 */
export class SageMakerResources {
  readonly #runtime: SageMakerRuntimeClient;
  readonly #region: string;
  readonly #endpointUrl: string;

  /** @param endpointUrl - another one than AWS's own */
  constructor(region: string, endpointUrl = `https://api.sagemaker.${region}.amazonaws.com`) {
    this.#runtime = new SageMakerRuntimeClient({ region });
    this.#region = region;
    this.#endpointUrl = endpointUrl;
  }

  /** Endpoints, their configurations and models whose name contains a text, over all pages. */
  async list(nameContains: string): Promise<SageMakerResource[]> {
    const found: SageMakerResource[] = [];
    for (const kind of kinds) {
      let NextToken: unknown;
      do {
        const page = await this.#call(`List${kind}s`, { NameContains: nameContains, MaxResults: 100, NextToken });
        const listed = page[kind === 'EndpointConfig' ? 'EndpointConfigs' : `${kind}s`];
        for (const each of Array.isArray(listed) ? (listed as Record<string, unknown>[]) : []) {
          const name = each[`${kind}Name`];
          if (typeof name === 'string') found.push({ kind, name });
        }
        NextToken = page.NextToken;
      } while (NextToken);
    }
    return found;
  }

  /** @throws EndpointError `upstream_failed` */
  async delete({ kind, name }: SageMakerResource): Promise<void> {
    await this.#call(`Delete${kind}`, { [`${kind}Name`]: name });
  }

  close(): void {
    this.#runtime.destroy();
  }

  async #call(action: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
    const url = new URL(this.#endpointUrl);
    const body = JSON.stringify(input);
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `SageMaker.${action}` };
    const credentials = await this.#runtime.config.credentials();
    const where = { region: this.#region, service: 'sagemaker' };
    const { host: _, ...signed } = signedHeaders({ method: 'POST', url, headers, body }, credentials, where);
    const answer = await fetch(url, { method: 'POST', headers: signed, body, signal: AbortSignal.timeout(30_000) });
    const text = await answer.text();
    if (answer.ok) return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    const kind = /"__type"\s*:\s*"(?:[^"#]*#)?(\w+)"/.exec(text)?.[1] ?? `status ${answer.status}`;
    throw new EndpointError('upstream_failed', `SageMaker ${action} failed: ${kind}.`);
  }
}
