import { describe, expect, it } from 'vitest';
import { acceptedWays, parseMediaTypes } from '../../../src/local-store/dicomweb/media-types.ts';
import { matchesValue, parseSearchQuery } from '../../../src/local-store/dicomweb/search-query.ts';

describe('a QIDO-RS query', () => {
  it('takes attributes by keyword and by tag', () => {
    const query = parseSearchQuery({
      PatientID: 'P',
      '00080060': 'CT',
      limit: '5',
      includefield: ['00081030,PatientAge'],
    });
    expect([...query.matches]).toEqual([
      ['PatientID', 'P'],
      ['Modality', 'CT'],
    ]);
    expect(query).toMatchObject({ limit: 5, offset: 0, include: new Set([0x00081030, 0x00101010]) });
  });

  it.each([{ Nonsense: '1' }, { limit: '-1' }, { includefield: 'Nonsense' }, { PatientID: ['a', 'b'] }])(
    'is refused for %j',
    (query) => {
      expect(() => parseSearchQuery(query)).toThrow(expect.objectContaining({ name: 'ValidationException' }));
    },
  );

  it.each([
    ['PatientID', 'P1', 'P1', true],
    ['PatientID', 'P1', 'P', false],
    ['PatientID', 'P1', 'P?', true],
    ['PatientID', 'P.1', 'P?1', true],
    ['PatientID', 'Px1', 'P.1', false],
    ['PatientName', 'Doe^Jane', 'doe*', true],
    ['StudyInstanceUID', '1.2', '1.1,1.2', true],
    ['StudyDate', '20200115', '20200101-20200131', true],
    ['StudyDate', '20200115', '-20200101', false],
    ['StudyDate', '20200115', '20200115-', true],
    ['StudyTime', '101530', '10-10', true],
    ['StudyDate', '20200115', '20200116', false],
  ])('%s %s against %s: %s', (keyword, value, wanted, expected) => {
    expect(matchesValue(keyword, [value], wanted, false)).toBe(expected);
  });

  it('finds names by the beginnings of their parts where matching is fuzzy', () => {
    expect(matchesValue('PatientName', ['Doe^Jane'], 'jan do', true)).toBe(true);
    expect(matchesValue('PatientName', ['Doe^Jane'], 'jan do', false)).toBe(false);
  });
});

describe('an Accept header', () => {
  const offered = ['application/octet-stream', 'image/jphc'];

  it('is read with its parameters and qualities', () => {
    const types = parseMediaTypes('multipart/related; type="a,b;c"; q=0.5, image/png');
    expect(types.map(({ name }) => name)).toEqual(['image/png', 'multipart/related']);
    expect(types[1]?.parameters.get('type')).toBe('a,b;c');
  });

  it('asks for parts, for one body, or for whatever there is', () => {
    const header = 'multipart/related; type="application/octet-stream"; transfer-syntax=*, image/jphc';
    expect(acceptedWays(header, offered)).toEqual([
      { multipart: true, type: 'application/octet-stream', transferSyntax: '*' },
      { multipart: false, type: 'image/jphc', transferSyntax: undefined },
    ]);
    expect(acceptedWays(undefined, offered)[0]).toMatchObject({ multipart: true, type: 'application/octet-stream' });
    expect(() => acceptedWays('image/png', offered)).toThrow(
      expect.objectContaining({ name: 'NotAcceptableException' }),
    );
  });
});
