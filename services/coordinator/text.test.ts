import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { tinyBundle } from './test-bundle.ts';
import { openText } from './text.ts';

test('a chat template that cannot be read is told by the file that holds it', async () => {
  const broken = '{% for message in messages %}{{ message.content }}';
  const bundle = await tinyBundle({ chatTemplate: broken });
  await assert.rejects(openText(bundle), {
    code: 'BUNDLE_INVALID',
    message: /\/tokenizer_config\.json: the chat template: /,
  });
  const file = 'chat_template.jinja';
  await writeFile(join(bundle.directory, file), broken);
  const { manifest } = bundle;
  const tokenizer = { ...manifest.tokenizer!, chatTemplate: file };
  await assert.rejects(openText({ ...bundle, manifest: { ...manifest, tokenizer } }), {
    code: 'BUNDLE_INVALID',
    message: /\/chat_template\.jinja: the chat template: /,
  });
});
