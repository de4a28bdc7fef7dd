import { describe, expect, it } from 'vitest';
import { wantedModel } from '../../../src/server/wanted-model.ts';

const json = { 'content-type': 'application/json' };
const header = { 'x-amzn-sagemaker-target-model': 'team/abdomen.tar.gz' };
const attributes = (text: string) => ({ 'x-amzn-sagemaker-custom-attributes': text });
const body = (value: unknown) => ({ bytes: Buffer.from(JSON.stringify(value)) });

describe('the model that a request wants', () => {
  it.each([
    ['the body names it all', json, { model: 'spleen' }, false, 'spleen.tar.gz', undefined],
    ['with its suffix', json, { model: 'a/spleen.tar.gz' }, false, 'a/spleen.tar.gz', undefined],
    ['the header names the archive', { ...json, ...header }, {}, false, 'team/abdomen.tar.gz', undefined],
    ['and the body the bundle', { ...json, ...header }, { model: 'spleen' }, false, 'team/abdomen.tar.gz', 'spleen'],
    ['the path names the archive', json, { model: 'spleen' }, true, undefined, 'spleen'],
    ['images name none', { 'content-type': 'application/zip' }, { model: 'x' }, false, undefined, undefined],
    [
      'images by attribute',
      { 'content-type': 'application/zip', ...attributes('a=b; model=spleen') },
      {},
      true,
      undefined,
      'spleen',
    ],
    ['attributes of others', { ...json, ...attributes('supermodel=x') }, {}, false, undefined, undefined],
  ])('%s', async (_, headers, value, archiveIsKnown, target, bundle) => {
    expect(await wantedModel(headers as Record<string, string>, body(value), archiveIsKnown)).toEqual({
      target,
      bundle,
    });
  });

  it.each([
    ['two names', { ...json, ...attributes('model=a') }, '{"model":"b"}'],
    ['a hostile name', json, '{"model":"../x"}'],
    ['a name that is none', json, '{"model":1}'],
    ['what is no JSON', json, '{"model":'],
  ])('is not known from %s', async (_, headers, text) => {
    const wanted = wantedModel(headers as Record<string, string>, { bytes: Buffer.from(text) }, false);
    await expect(wanted).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
