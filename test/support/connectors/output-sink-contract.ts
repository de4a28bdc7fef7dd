import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OutputSink } from '../../../src/connectors/output-sink.ts';

export interface SinkUnderTest {
  readonly sink: OutputSink;
  /** An allowed place, with its trailing slash. */
  readonly baseUri: string;
  /** A place outside of what is allowed. */
  readonly forbiddenUri: string;
  /** Names of all files or objects under the base, folders left out. */
  list(): Promise<string[]>;
  read(name: string): Promise<Uint8Array>;
  close?(): Promise<void>;
}

/** What every {@link OutputSink} does. */
export function describeOutputSink(name: string, setUp: () => Promise<SinkUnderTest>): void {
  describe(`OutputSink contract: ${name}`, () => {
    let under: SinkUnderTest;
    const signal = new AbortController().signal;
    const text = (value: string) => new TextEncoder().encode(value);
    let count = 0;
    const freshPrefix = () => {
      count += 1;
      return { name: `model/id-${count}`, uri: `${under.baseUri}model/id-${count}/` };
    };
    beforeAll(async () => {
      under = await setUp();
    });
    afterAll(() => under.close?.());

    it('accepts its own scheme only', () => {
      expect(under.sink.accepts(under.baseUri)).toBe(true);
      expect(under.sink.accepts('ftp://host/x/')).toBe(false);
    });

    it('shows a result only after commit, whole', async () => {
      const { name, uri } = freshPrefix();
      const transaction = await under.sink.begin(uri, signal);
      const written = await transaction.write('nifti.nii.gz', text('labels'), 'application/gzip');
      expect(written).toBe(`${uri}nifti.nii.gz`);
      await expect(under.sink.readResult(uri, signal)).resolves.toBeUndefined();
      await transaction.commit({ inferenceId: 'a', n: 1 });
      await expect(under.sink.readResult(uri, signal)).resolves.toEqual({ inferenceId: 'a', n: 1 });
      expect(Buffer.from(await under.read(`${name}/nifti.nii.gz`)).toString()).toBe('labels');
    });

    it('leaves nothing behind after abort', async () => {
      const before = await under.list();
      const transaction = await under.sink.begin(freshPrefix().uri, signal);
      await transaction.write('a.json', text('{}'), 'application/json');
      await transaction.abort();
      expect(await under.list()).toEqual(before);
      await transaction.abort();
    });

    it('keeps a status beside a result and without one, until the next result', async () => {
      const { name, uri } = freshPrefix();
      await expect(under.sink.readStatus(uri, signal)).resolves.toBeUndefined();
      for (const state of ['QUEUED', 'RUNNING']) await under.sink.writeStatus(uri, { state });
      await expect(under.sink.readStatus(uri, signal)).resolves.toEqual({ state: 'RUNNING' });
      expect(JSON.parse(Buffer.from(await under.read(`${name}/status.json`)).toString())).toEqual({ state: 'RUNNING' });
      await expect(under.sink.readResult(uri, signal)).resolves.toBeUndefined();
      const failed = await under.sink.begin(uri, signal);
      await failed.write('json.json', text('half'), 'application/json');
      await failed.abort();
      await under.sink.discard(uri);
      await expect(under.sink.readStatus(uri, signal)).resolves.toEqual({ state: 'RUNNING' });
      const transaction = await under.sink.begin(uri, signal);
      await transaction.write('json.json', text('whole'), 'application/json');
      await transaction.commit({ n: 1 });
      await under.sink.writeStatus(uri, { state: 'SUCCEEDED' });
      await expect(under.sink.readResult(uri, signal)).resolves.toEqual({ n: 1 });
      await expect(under.sink.readStatus(uri, signal)).resolves.toEqual({ state: 'SUCCEEDED' });
      const own = (await under.list()).filter((file) => file.startsWith(`${name}/`)).sort();
      expect(own).toEqual([`${name}/json.json`, `${name}/result.json`, `${name}/status.json`]);
    });

    it('refuses a status outside of what is allowed', async () => {
      await expect(under.sink.writeStatus(`${under.forbiddenUri}m/id/`, {})).rejects.toMatchObject({
        code: 'forbidden',
      });
    });

    it('replaces an earlier result of the same prefix', async () => {
      const { name, uri } = freshPrefix();
      for (const run of ['first', 'second']) {
        const transaction = await under.sink.begin(uri, signal);
        await transaction.write('json.json', text(run), 'application/json');
        await transaction.commit({ run });
      }
      await expect(under.sink.readResult(uri, signal)).resolves.toEqual({ run: 'second' });
      expect(Buffer.from(await under.read(`${name}/json.json`)).toString()).toBe('second');
    });

    it('keeps what is committed when it discards what was interrupted', async () => {
      const { uri } = freshPrefix();
      const transaction = await under.sink.begin(uri, signal);
      await transaction.commit({ kept: true });
      await transaction.abort();
      await under.sink.discard(uri);
      await expect(under.sink.readResult(uri, signal)).resolves.toEqual({ kept: true });
    });

    it.each(['../evil', 'a/b', '.hidden', ''])('refuses the file name %j', async (fileName) => {
      const transaction = await under.sink.begin(freshPrefix().uri, signal);
      await expect(transaction.write(fileName, text('x'), 'text/plain')).rejects.toMatchObject({ code: 'internal' });
      await transaction.abort();
    });

    it('refuses a place outside the allow-list', async () => {
      await expect(under.sink.begin(under.forbiddenUri, signal)).rejects.toMatchObject({ code: 'forbidden' });
      await expect(under.sink.readResult(under.forbiddenUri, signal)).rejects.toMatchObject({ code: 'forbidden' });
    });
  });
}
