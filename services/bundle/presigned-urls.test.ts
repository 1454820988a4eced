import assert from 'node:assert/strict';
import { test } from 'node:test';
import { presignedUrls } from './presigned-urls.ts';

const SOURCE = 'https://bucket.example/models/looped';

test('each file of a place has its own URL, whatever its signature holds', () => {
  const urls = [`${SOURCE}/bundle.json?X-Sig=a%2Fb&e=1`, `${SOURCE}/weights.bin?X-Sig=/c?d`];
  for (const source of [SOURCE, `${SOURCE}/`]) {
    const found = presignedUrls(`${urls[0]}\n\n  ${urls[1]}\r\n`, source);
    assert.deepEqual(
      [...found],
      [
        ['bundle.json', urls[0]],
        ['weights.bin', urls[1]],
      ],
    );
  }
});

for (const [what, text, message] of [
  ['no URL', 'secret', /line 1: no http\(s\) URL/],
  [
    'another place',
    `${SOURCE}/a?s=1\nhttps://bucket.example/models/secret/a`,
    /line 2: a URL of another place/,
  ],
  ['a place that only begins alike', `${SOURCE}-secret/a`, /line 1: a URL of another place/],
  ['a file below', `${SOURCE}/secret/a`, /line 1: no file directly at that place/],
  ['the place itself', `${SOURCE}/?secret`, /line 1: no file directly at that place/],
  ['a file twice', `${SOURCE}/a?secret\n${SOURCE}/a?secret`, /line 2: a is there twice/],
  ['nothing', '\n', /none is there/],
] as const) {
  test(`${what} is refused by its line, without what the line holds`, () => {
    assert.throws(
      () => presignedUrls(text, SOURCE),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, 'CONFIG_INVALID');
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
}
