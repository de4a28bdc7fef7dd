import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const at = (path: string): URL => new URL(`../../../${path}`, import.meta.url);
const read = (path: string): string => readFileSync(at(path), 'utf8');

/** Instructions of a Dockerfile: continued lines joined, comments dropped. */
const instructions = read('docker/Dockerfile')
  .split('\n')
  .filter((line) => !line.startsWith('#'))
  .join('\n')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line.trim()) ?? [];
    return { name, rest: rest.replace(/\s+/g, ' ') };
  });

/** Instructions of the stage that becomes the image. */
const final = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM') + 1);
const one = (name: string): string => final.filter((each) => each.name === name).map(({ rest }) => rest)[0] ?? '';

describe('docker/Dockerfile', () => {
  it("carries SageMaker's two capability labels", () => {
    expect(one('LABEL')).toContain('com.amazonaws.sagemaker.capabilities.multi-models=true');
    expect(one('LABEL')).toContain('com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true');
  });

  it('starts the CLI itself, so that signals reach it, and serves by default', () => {
    expect(JSON.parse(one('ENTRYPOINT'))).toEqual(['node', 'dist/cli/map-endpoint.js']);
    expect(JSON.parse(one('CMD'))).toEqual(['serve']);
    expect(existsSync(at('src/cli/map-endpoint.ts'))).toBe(true);
  });

  it('runs as a user without rights, last of all set', () => {
    expect(one('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const userAt = final.findIndex(({ name }) => name === 'USER');
    expect(final.slice(userAt).map(({ name }) => name)).not.toContain('COPY');
  });

  it('copies into the image only what the build made or git tracks', () => {
    for (const { rest } of final.filter(({ name }) => name === 'COPY')) {
      const [source = '', ...more] = rest.split(' ');
      if (source.startsWith('--from=build')) continue;
      for (const path of [source, ...more.slice(0, -1)]) expect(existsSync(at(path)), path).toBe(true);
    }
    const copied = instructions.filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from'));
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    for (const path of copied.flatMap(({ rest }) => rest.split(' ').slice(0, -1))) {
      expect(allowed, `${path} is kept out by .dockerignore`).toContain(path);
    }
  });
});

describe('buildspec.yml', () => {
  const phases = (parse(read('buildspec.yml')) as { phases: Record<string, { commands: string[] }> }).phases;

  it('checks, builds, tags by commit and pushes, in this order', () => {
    const commands = ['install', 'pre_build', 'build', 'post_build'].flatMap((phase) => phases[phase]?.commands ?? []);
    const order = ['npm run check', 'docker build', 'docker push'].map((text) =>
      commands.findIndex((command) => command.includes(text)),
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order).not.toContain(-1);
    expect(
      commands.some((command) => /IMAGE="\$REPOSITORY_URI:\$CODEBUILD_RESOLVED_SOURCE_VERSION"/.test(command)),
    ).toBe(true);
  });

  it('pushes nothing after a failed build', () => {
    expect(phases.post_build?.commands[0]).toContain('CODEBUILD_BUILD_SUCCEEDING');
  });
});
