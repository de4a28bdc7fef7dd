import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BatchSettings, batchStrategies } from './api/batch-settings.ts';
import { EndpointError } from './errors.ts';

/** Settings of a server, parsed from the environment once, in `main.ts`; `docs/configuration.md` lists them. */
export interface EndpointConfig {
  readonly host: string;
  readonly port: number;
  /** True when SageMaker decides what is loaded (`SAGEMAKER_MULTI_MODEL=true`). */
  readonly managed: boolean;
  /** How listings give the url of a managed model: as SageMaker gave it, or without its last `/model`. */
  readonly modelUrlForm: 'given' | 'parent';
  /** `s3://bucket/prefix/` or a folder; undefined: the single model in `/opt/ml/model`. */
  readonly modelDataUrl: string | undefined;
  readonly modelRefreshSeconds: number;
  /** Folder of this server's own files: unpacked models, scratch folders. */
  readonly dataDir: string;
  readonly allowedUris: readonly string[];
  /** Data stores that inputs may name; undefined = any that the credentials reach. */
  readonly allowedDatastores: readonly string[] | undefined;
  readonly executionProviders: readonly ExecutionProvider[];
  /** Windows that run at once over all session children. */
  readonly workers: number;
  /** Pipeline processes. */
  readonly pipelines: number;
  /** Requests that may wait for a pipeline process. */
  readonly maxQueuedRequests: number;
  /** The same for each model. */
  readonly maxQueuedPerModel: number;
  /** Jobs of one model that run at once. */
  readonly maxConcurrentPerModel: number;
  readonly warmUp: WarmUp;
  readonly memoryBudgetBytes: number;
  readonly diskBudgetBytes: number;
  readonly maxArchiveBytes: number;
  readonly maxArchiveEntries: number;
  readonly requestTimeoutSeconds: number;
  /** Limit of a background request's work, counted from its acceptance. */
  readonly backgroundTimeoutSeconds: number;
  readonly maxBodyBytes: number;
  /** Lines that one JSON Lines request may have. */
  readonly maxBatchLines: number;
  /** What a batch transform job says about itself; undefined outside one. */
  readonly batch: BatchSettings | undefined;
  readonly allowCustomCode: boolean;
  /** Names of environment variables that custom code is granted. */
  readonly customCodeEnvironment: readonly string[];
  /** Most resident memory of a process of custom code. */
  readonly customCodeMemoryBytes: number;
  /** Whether what custom code prints goes to the log. */
  readonly customCodeLog: boolean;
  readonly authToken: string | undefined;
  /** Asked by the embedded store, as bearer token or as secret access key. */
  readonly storeToken: string | undefined;
  /** Quotas of the embedded store that are other than the service's, by name. */
  readonly storeQuotas: Readonly<Record<string, number>>;
  readonly managementToken: string | undefined;
  readonly logLevel: LogLevel;
  /** Whether traces are sent: an exporter or its endpoint is set. */
  readonly tracing: boolean;
  readonly region: string | undefined;
  /** Endpoint of HealthImaging where it is not AWS's own; then the host prefix is switched off. */
  readonly healthImagingEndpoint: string | undefined;
  readonly s3Endpoint: string | undefined;
  /** `s3://` or `file://`, with a trailing slash: where asynchronous answers and errors go (local mode). */
  readonly asyncOutputUri: string;
  readonly asyncFailureUri: string;
  /** A webhook's URL or a `file://` URI; undefined: finished asynchronous jobs are not told. */
  readonly asyncNotifyUri: string | undefined;
  /** Folder or `s3://` prefix through which results are imported into a data store. */
  readonly healthImagingImportUri: string | undefined;
  /** Role that HealthImaging takes to read and write there. */
  readonly healthImagingImportRoleArn: string | undefined;
  /** `Authorization` for DICOMweb servers, by URL prefix. */
  readonly dicomWebAuthorization: readonly DicomWebAuthorization[];
}

export interface DicomWebAuthorization {
  readonly prefix: string;
  readonly value: string;
}

export type ExecutionProvider = 'cpu' | 'cuda' | 'webgpu';
/** Which networks are tried out when they are loaded: all, none, those with small inputs. */
export type WarmUp = 'true' | 'false' | 'small';
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** The environment as a plain record: only `main.ts` reads `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a command line may say over the environment. */
export interface ConfigOverrides {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly modelDataUrl?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly allowedUris?: readonly string[] | undefined;
  readonly healthImagingEndpoint?: string | undefined;
  readonly asyncOutput?: string | undefined;
  readonly asyncNotify?: string | undefined;
}

const gibibyte = 1024 ** 3;
const mebibyte = 1024 ** 2;

/**
 * Parses the settings. Unknown variables are ignored; malformed values stop the start.
 *
 * @param mode - `serve` (the container) or `local` (the laptop): their defaults differ
 * @throws EndpointError `invalid_request`, naming the variable and what it takes
 */
export function parseConfig(
  env: Environment,
  mode: 'serve' | 'local',
  overrides: ConfigOverrides = {},
): EndpointConfig {
  const managed = flag(env, 'SAGEMAKER_MULTI_MODEL', false);
  const port = overrides.port ?? integer(env, 'SAGEMAKER_BIND_TO_PORT', 8080, 0, 65_535);
  checkSafePort(env, port);
  const pipelines = integer(env, 'PIPELINES', availableParallelism(), 1, 256);
  const maxQueuedRequests = integer(env, 'MAX_QUEUED_REQUESTS', 100, 0, 100_000);
  const allowedDatastores = list(env, 'ALLOWED_DATASTORES');
  const batch = batchOf(env);
  const dataDir = resolve(
    overrides.dataDir ??
      text(env, 'DATA_DIR') ??
      (mode === 'local' ? './.map-endpoint' : join(tmpdir(), 'map-endpoint')),
  );
  const asyncOutput = overrides.asyncOutput ?? text(env, 'ASYNC_OUTPUT_URI') ?? join(dataDir, 'async-output');
  return {
    host: overrides.host ?? text(env, 'HOST') ?? (mode === 'serve' ? '0.0.0.0' : '127.0.0.1'),
    port,
    managed,
    modelUrlForm: modelUrlForm(env),
    modelDataUrl: overrides.modelDataUrl ?? text(env, 'MODEL_DATA_URL') ?? (mode === 'local' ? './models' : undefined),
    modelRefreshSeconds: number(env, 'MODEL_REFRESH_SECONDS', 30, 0, 86_400),
    dataDir,
    allowedUris: overrides.allowedUris ?? list(env, 'ALLOWED_URIS') ?? [],
    allowedDatastores,
    executionProviders: providers(env),
    workers: integer(env, 'WORKERS', availableParallelism(), 1, 1024),
    pipelines,
    maxQueuedRequests,
    maxQueuedPerModel: integer(env, 'MAX_QUEUED_PER_MODEL', maxQueuedRequests, 0, 100_000),
    maxConcurrentPerModel: integer(env, 'MAX_CONCURRENT_PER_MODEL', pipelines, 1, 256),
    warmUp: warmUp(env),
    memoryBudgetBytes: integer(
      env,
      'MEMORY_BUDGET_BYTES',
      Math.floor(totalmem() * 0.7),
      mebibyte,
      Number.MAX_SAFE_INTEGER,
    ),
    diskBudgetBytes: integer(env, 'DISK_BUDGET_BYTES', 20 * gibibyte, mebibyte, Number.MAX_SAFE_INTEGER),
    maxArchiveBytes: integer(env, 'MAX_ARCHIVE_BYTES', 8 * gibibyte, 1, Number.MAX_SAFE_INTEGER),
    maxArchiveEntries: integer(env, 'MAX_ARCHIVE_ENTRIES', 10_000, 1, 1_000_000),
    requestTimeoutSeconds: number(env, 'REQUEST_TIMEOUT_SECONDS', managed ? 55 : 3_500, 0.001, 86_400),
    backgroundTimeoutSeconds: number(env, 'BACKGROUND_TIMEOUT_SECONDS', 3_600, 1, 604_800),
    // A batch job that was told to send more than our default will send it.
    maxBodyBytes: integer(
      env,
      'MAX_BODY_BYTES',
      Math.max(26_214_400, (batch?.maxPayloadMebibytes ?? 0) * mebibyte),
      1,
      8 * gibibyte,
    ),
    maxBatchLines: integer(env, 'MAX_BATCH_LINES', 1_000, 1, 1_000_000),
    batch,
    allowCustomCode: flag(env, 'ALLOW_CUSTOM_CODE', false),
    customCodeEnvironment: variableNames(env, 'CUSTOM_CODE_ENVIRONMENT'),
    customCodeMemoryBytes: integer(
      env,
      'CUSTOM_CODE_MEMORY_BYTES',
      2 * gibibyte,
      128 * mebibyte,
      Number.MAX_SAFE_INTEGER,
    ),
    customCodeLog: flag(env, 'CUSTOM_CODE_LOG', false),
    authToken: managed ? undefined : text(env, 'AUTH_TOKEN'),
    storeToken: text(env, 'STORE_TOKEN'),
    storeQuotas: quotas(env, 'STORE_QUOTAS'),
    managementToken: managed ? undefined : text(env, 'MANAGEMENT_TOKEN'),
    logLevel: logLevel(env),
    tracing: tracing(env),
    region: text(env, 'AWS_REGION') ?? text(env, 'AWS_DEFAULT_REGION'),
    healthImagingEndpoint:
      overrides.healthImagingEndpoint ?? text(env, 'AWS_ENDPOINT_URL_MEDICAL_IMAGING') ?? text(env, 'AWS_ENDPOINT_URL'),
    s3Endpoint: text(env, 'AWS_ENDPOINT_URL_S3') ?? text(env, 'AWS_ENDPOINT_URL'),
    asyncOutputUri: place('ASYNC_OUTPUT_URI', asyncOutput),
    asyncFailureUri: place('ASYNC_FAILURE_URI', text(env, 'ASYNC_FAILURE_URI') ?? asyncOutput),
    asyncNotifyUri: notifyUri(overrides.asyncNotify ?? text(env, 'ASYNC_NOTIFY_URI')),
    healthImagingImportUri: text(env, 'HEALTHIMAGING_IMPORT_URI'),
    healthImagingImportRoleArn: text(env, 'HEALTHIMAGING_IMPORT_ROLE_ARN'),
    dicomWebAuthorization: dicomWebAuthorization(env),
  };
}

function malformed(name: string, takes: string): EndpointError {
  return new EndpointError('invalid_request', `${name} is malformed: it takes ${takes}.`);
}

function text(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === undefined || value === '' ? undefined : value;
}

function list(env: Environment, name: string): string[] | undefined {
  const value = text(env, name);
  return value
    ?.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

const quotaNames = [
  'datastores',
  'openJobs',
  'filesPerJob',
  'bytesPerJob',
  'bytesPerFile',
  'foldersPerJob',
  'bytesPerUpdate',
  'framesPerCopy',
  'bytesPerStore',
];

function quotas(env: Environment, name: string): Record<string, number> {
  const pairs = (list(env, name) ?? []).map((pair) => pair.split('=').map((part) => part.trim()));
  const isKnown = ([quota = '', value = '', ...more]: string[]): boolean =>
    quotaNames.includes(quota) && /^[1-9]\d{0,14}$/.test(value) && more.length === 0;
  if (!pairs.every(isKnown)) throw malformed(name, `quota=number pairs joined by commas, of ${quotaNames.join(', ')}`);
  return Object.fromEntries(pairs.map(([quota, value]) => [quota as string, Number(value)]));
}

function variableNames(env: Environment, name: string): string[] {
  const names = list(env, name) ?? [];
  // These would change how the process itself is run, and with it what keeps the code apart.
  const isPlain = (given: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(given) && !/^(?:NODE_|LD_)/.test(given);
  if (!names.every(isPlain)) throw malformed(name, 'names of variables joined by commas, none of NODE_… or LD_…');
  return names;
}

function flag(env: Environment, name: string, fallback: boolean): boolean {
  const value = text(env, name)?.toLowerCase();
  if (value === undefined) return fallback;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw malformed(name, 'true or false');
}

function number(env: Environment, name: string, fallback: number, least: number, most: number): number {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const parsed = Number(value);
  if (!/^[0-9.]+$/.test(value) || !Number.isFinite(parsed) || parsed < least || parsed > most) {
    throw malformed(name, `a number from ${least} to ${most}`);
  }
  return parsed;
}

function integer(env: Environment, name: string, fallback: number, least: number, most: number): number {
  const value = number(env, name, fallback, least, most);
  if (!Number.isInteger(value)) throw malformed(name, `a whole number from ${least} to ${most}`);
  return value;
}

function batchOf(env: Environment): BatchSettings | undefined {
  if (!flag(env, 'SAGEMAKER_BATCH', false)) return undefined;
  const name = text(env, 'SAGEMAKER_BATCH_STRATEGY')?.toUpperCase();
  const strategy = batchStrategies.find((known) => known === name);
  if (strategy === undefined && name !== undefined) {
    throw malformed('SAGEMAKER_BATCH_STRATEGY', batchStrategies.join(' or '));
  }
  const given = (name: string): boolean => text(env, name) !== undefined;
  return {
    ...(strategy === undefined ? {} : { strategy }),
    ...(given('SAGEMAKER_MAX_CONCURRENT_TRANSFORMS')
      ? { maxConcurrentTransforms: integer(env, 'SAGEMAKER_MAX_CONCURRENT_TRANSFORMS', 0, 0, 10_000) }
      : {}),
    ...(given('SAGEMAKER_MAX_PAYLOAD_IN_MB')
      ? { maxPayloadMebibytes: integer(env, 'SAGEMAKER_MAX_PAYLOAD_IN_MB', 0, 0, 100) }
      : {}),
  };
}

function providers(env: Environment): ExecutionProvider[] {
  const given = list(env, 'EXECUTION_PROVIDERS') ?? ['cpu'];
  for (const provider of given) {
    if (provider !== 'cpu' && provider !== 'cuda' && provider !== 'webgpu') {
      throw malformed('EXECUTION_PROVIDERS', 'cpu, cuda, webgpu, or several joined by commas');
    }
  }
  return given as ExecutionProvider[];
}

function warmUp(env: Environment): WarmUp {
  const value = text(env, 'WARM_UP')?.toLowerCase() ?? 'small';
  if (value !== 'true' && value !== 'false' && value !== 'small') throw malformed('WARM_UP', 'true, false or small');
  return value;
}

function logLevel(env: Environment): LogLevel {
  const level = text(env, 'LOG_LEVEL')?.toLowerCase() ?? 'info';
  const levels: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];
  if (!levels.includes(level)) throw malformed('LOG_LEVEL', levels.join(', '));
  return level as LogLevel;
}

/** A prefix that outputs go under, as a URI that ends in a slash. */
function place(name: string, value: string): string {
  const isS3 = /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[^?#]*)?$/.test(value);
  const isFile = value.startsWith('file:///') && URL.canParse(value);
  if (!isS3 && !isFile && /^[A-Za-z][A-Za-z0-9+.-]*:/.test(value))
    throw malformed(name, 's3://bucket/prefix/ or a folder');
  const uri = isS3 || isFile ? value : pathToFileURL(resolve(value)).href;
  return `${uri.replace(/\/+$/, '')}/`;
}

/** A webhook's URL (plain HTTP to this machine only) or a file. */
function notifyUri(value: string | undefined): string | undefined {
  if (value === undefined || value.startsWith('file:///')) return value;
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:/.test(value)) return pathToFileURL(resolve(value)).href;
  const url = URL.parse(value);
  const isLoopback = url !== null && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback)) return url.href;
  throw malformed('ASYNC_NOTIFY_URI', 'an https:// URL, an http:// URL of this machine, or a file');
}

/** `https://host/root Basic …`, several joined by semicolons. */
function dicomWebAuthorization(env: Environment): DicomWebAuthorization[] {
  const entries = (text(env, 'DICOMWEB_AUTHORIZATION') ?? '').split(';').map((entry) => entry.trim());
  return entries
    .filter((entry) => entry !== '')
    .map((entry) => {
      const match = /^(https?:\/\/\S+)\s+(\S.*)$/i.exec(entry);
      if (!match)
        throw malformed('DICOMWEB_AUTHORIZATION', '"https://host/root Basic …", several joined by semicolons');
      return { prefix: (match[1] as string).replace(/\/+$/, ''), value: match[2] as string };
    });
}

function modelUrlForm(env: Environment): 'given' | 'parent' {
  const form = text(env, 'SAGEMAKER_MODEL_URL') ?? 'given';
  if (form !== 'given' && form !== 'parent') throw malformed('SAGEMAKER_MODEL_URL', 'given or parent');
  return form;
}

/** OpenTelemetry's own variables; the exporter reads the rest of them itself. */
function tracing(env: Environment): boolean {
  const exporter = text(env, 'OTEL_TRACES_EXPORTER')?.toLowerCase();
  if (exporter !== undefined && exporter !== 'otlp' && exporter !== 'none') {
    throw malformed('OTEL_TRACES_EXPORTER', 'otlp or none');
  }
  const protocol = text(env, 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ?? text(env, 'OTEL_EXPORTER_OTLP_PROTOCOL');
  const endpoint = text(env, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ?? text(env, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  const wanted = exporter === undefined ? endpoint !== undefined : exporter === 'otlp';
  if (!wanted || flag(env, 'OTEL_SDK_DISABLED', false)) return false;
  if (protocol !== undefined && protocol !== 'http/json') {
    throw malformed('OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json, which a collector takes on its HTTP port (4318)');
  }
  return true;
}

/** SageMaker may give a range of ports that the container may use; a bind port outside it must not start. */
function checkSafePort(env: Environment, port: number): void {
  const range = text(env, 'SAGEMAKER_SAFE_PORT_RANGE');
  if (range === undefined) return;
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(range);
  if (!match) throw malformed('SAGEMAKER_SAFE_PORT_RANGE', 'two ports as "8000-9000"');
  const [from, to] = [Number(match[1]), Number(match[2])];
  if (port < from || port > to) {
    throw new EndpointError(
      'invalid_request',
      `SAGEMAKER_BIND_TO_PORT ${port} is outside SAGEMAKER_SAFE_PORT_RANGE ${range}.`,
    );
  }
}
