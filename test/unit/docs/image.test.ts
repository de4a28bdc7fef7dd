import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { finalStage, imageFiles, instructions } from '../../support/dockerfile.ts';

const at = (path: string): URL => new URL(`../../../${path}`, import.meta.url);
const read = (path: string): string => readFileSync(at(path), 'utf8');

const one = (name: string): string => finalStage.filter((each) => each.name === name).map(({ rest }) => rest)[0] ?? '';

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
    const userAt = finalStage.findIndex(({ name }) => name === 'USER');
    expect(finalStage.slice(userAt).map(({ name }) => name)).not.toContain('COPY');
  });

  it('copies into the image only what the build made or git tracks', () => {
    for (const { rest } of finalStage.filter(({ name }) => name === 'COPY')) {
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

describe('the image', () => {
  it('holds what the program reads beside its code', () => {
    const root = fileURLToPath(at(''));
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const wanted = files.flatMap((file) => {
      const path = join(root, 'src', file);
      const urls = readFileSync(path, 'utf8').matchAll(/new URL\('(\.\.\/[^']+)', import\.meta\.url\)/g);
      return [...urls].map(([, url]) => relative(root, fileURLToPath(new URL(url as string, `file://${path}`))));
    });
    const outside = wanted.filter((path) => !path.startsWith('src'));
    expect(outside).toContain('samples/handlers');
    for (const path of outside) expect(imageFiles.get(path.split('/')[0] as string), path).toBeDefined();
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
