import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChatTemplate } from './chat-template.ts';

const rendered = (source: string): string =>
  parseChatTemplate({}, source)!.render([{ role: 'user', content: 'hi' }], true);

test('tools and documents that nobody gave are none, and defined', () => {
  const source = (name: string) =>
    `{%- if ${name} is not none and ${name}|length > 0 %}some{%- endif %}{{ ${name} is defined }} {{ messages[0].content }}`;
  for (const name of ['tools', 'documents']) assert.equal(rendered(source(name)), 'true hi');
});
