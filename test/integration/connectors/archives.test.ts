import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { FolderArchives } from '../../../src/connectors/filesystem/folder-archives.ts';
import { S3Archives } from '../../../src/connectors/s3/s3-archives.ts';
import { describeArchiveSource } from '../../support/archive-source-contract.ts';
import { hasS3Server, startS3Server } from '../../support/connectors/s3-server.ts';

const root = mkdtempSync(join(tmpdir(), 'archives-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const signal = new AbortController().signal;
let models: string;
let target: string;
let count = 0;
beforeEach(() => {
  models = join(root, `models-${count}`);
  target = join(root, `copy-${count++}`);
  mkdirSync(join(models, 'sub'), { recursive: true });
});

describeArchiveSource('a models folder', async () => {
  const folder = mkdtempSync(join(root, 'contract-'));
  return {
    source: new FolderArchives(folder),
    async put(name, bytes) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), bytes);
    },
    remove: async (name) => rmSync(join(folder, name)),
  };
});

describe.skipIf(!hasS3Server)('with an S3 server', () => {
  describeArchiveSource('an S3 prefix', async () => {
    const server = await startS3Server();
    await server.createBucket('models');
    const object = (name: string) => ({ bucket: 'models', key: `prefix/${name}` });
    return {
      source: new S3Archives(server.objects, 's3://models/prefix/'),
      put: (name, bytes) => server.objects.write(object(name), bytes, 'application/gzip', signal),
      remove: (name) => server.objects.remove(object(name), signal),
      close: () => server.close(),
    };
  });
});

describe('FolderArchives', () => {
  const archives = () => new FolderArchives(models);
  const bundle = (name: string) => {
    mkdirSync(join(models, name, 'configs'), { recursive: true });
    writeFileSync(join(models, name, 'configs/metadata.json'), '{}');
  };

  it('finds and copies an archive', async () => {
    writeFileSync(join(models, 'sub/a.tar.gz'), 'archive');
    const stored = await archives().head('sub/a.tar.gz', signal);
    expect(stored).toMatchObject({ kind: 'archive', sizeBytes: 7, modifiedAtMs: expect.any(Number) });
    await archives().download('sub/a.tar.gz', stored!, target, signal);
    expect(readFileSync(target, 'utf8')).toBe('archive');
  });

  it('finds and copies an unpacked bundle, and prefers the archive', async () => {
    bundle('a');
    const stored = await archives().head('a.tar.gz', signal);
    expect(stored).toMatchObject({ kind: 'directory', sizeBytes: 2 });
    await archives().download('a.tar.gz', stored!, target, signal);
    expect(readFileSync(join(target, 'configs/metadata.json'), 'utf8')).toBe('{}');
    writeFileSync(join(models, 'a.tar.gz'), 'archive');
    await expect(archives().head('a.tar.gz', signal)).resolves.toMatchObject({ kind: 'archive' });
  });

  it('gives another version for other content, also deep in a bundle', async () => {
    bundle('a');
    const before = await archives().head('a.tar.gz', signal);
    expect(await archives().head('a.tar.gz', signal)).toEqual(before);
    writeFileSync(join(models, 'a/configs/metadata.json'), '[]');
    expect((await archives().head('a.tar.gz', signal))?.version).not.toBe(before?.version);
  });

  it('does not give what changed under the copy', async () => {
    writeFileSync(join(models, 'a.tar.gz'), 'one');
    const stored = await archives().head('a.tar.gz', signal);
    writeFileSync(join(models, 'a.tar.gz'), 'two!');
    await expect(archives().download('a.tar.gz', stored!, target, signal)).rejects.toMatchObject({
      code: 'upstream_failed',
    });
    expect(existsSync(target)).toBe(false);
    rmSync(join(models, 'a.tar.gz'));
    await expect(archives().download('a.tar.gz', stored!, target, signal)).rejects.toMatchObject({
      code: 'model_not_found',
    });
    expect(existsSync(target)).toBe(false);
  });

  it('takes a link for nothing, also on the way', async () => {
    writeFileSync(join(root, 'outside.tar.gz'), 'x');
    symlinkSync(join(root, 'outside.tar.gz'), join(models, 'a.tar.gz'));
    symlinkSync(root, join(models, 'linked'));
    await expect(archives().head('a.tar.gz', signal)).resolves.toBeUndefined();
    await expect(archives().head('linked/outside.tar.gz', signal)).resolves.toBeUndefined();
    await expect(archives().head('none.tar.gz', signal)).resolves.toBeUndefined();
    await expect(new FolderArchives(join(root, 'none')).head('a.tar.gz', signal)).resolves.toBeUndefined();
  });

  it('refuses a bundle with a link in it', async () => {
    bundle('a');
    symlinkSync('/etc/passwd', join(models, 'a/configs/link'));
    const stored = await archives().head('a.tar.gz', signal);
    await expect(archives().download('a.tar.gz', stored!, target, signal)).rejects.toMatchObject({
      code: 'invalid_archive',
    });
    expect(existsSync(target)).toBe(false);
  });

  it('works with a models folder that is a link itself', async () => {
    writeFileSync(join(models, 'a.tar.gz'), 'archive');
    symlinkSync(models, `${models}-alias`);
    await expect(new FolderArchives(`${models}-alias`).head('a.tar.gz', signal)).resolves.toMatchObject({
      kind: 'archive',
    });
  });
});

describe.skipIf(!hasS3Server)('S3Archives', () => {
  it('finds, downloads, and notices a new version', async () => {
    const server = await startS3Server();
    try {
      await server.createBucket('models');
      const write = (text: string) =>
        server.objects.write(
          { bucket: 'models', key: 'prod/sub/a.tar.gz' },
          Buffer.from(text),
          'application/gzip',
          signal,
        );
      const archives = new S3Archives(server.objects, 's3://models/prod');
      await expect(archives.head('sub/a.tar.gz', signal)).resolves.toBeUndefined();
      await write('one');
      const stored = await archives.head('sub/a.tar.gz', signal);
      expect(stored).toMatchObject({ kind: 'archive', sizeBytes: 3 });
      await archives.download('sub/a.tar.gz', stored!, target, signal);
      expect(readFileSync(target, 'utf8')).toBe('one');
      await write('two');
      expect((await archives.head('sub/a.tar.gz', signal))?.version).not.toBe(stored?.version);
      await expect(archives.download('sub/a.tar.gz', stored!, `${target}-2`, signal)).rejects.toMatchObject({
        code: 'upstream_failed',
      });
      expect(existsSync(`${target}-2`)).toBe(false);
      await server.objects.remove({ bucket: 'models', key: 'prod/sub/a.tar.gz' }, signal);
      await expect(archives.download('sub/a.tar.gz', stored!, `${target}-2`, signal)).rejects.toMatchObject({
        code: 'model_not_found',
      });
    } finally {
      await server.close();
    }
  });

  it('says that access is denied, with a hint to the role and no secret', async () => {
    const server = await startS3Server();
    const { S3Objects } = await import('../../../src/connectors/s3/s3-objects.ts');
    const stranger = new S3Objects({
      endpoint: server.endpoint,
      credentials: { accessKeyId: 'test', secretAccessKey: 'wrong-key' },
      maxSockets: 1,
    });
    try {
      const error = await new S3Archives(stranger, 's3://models')
        .head('a.tar.gz', signal)
        .catch((thrown: Error) => thrown);
      expect(error).toMatchObject({ code: 'upstream_failed', message: expect.stringMatching(/access denied.*role/) });
      expect(JSON.stringify(error)).not.toContain('wrong-key');
    } finally {
      await stranger.close();
      await server.close();
    }
  });
});
