/**
 * Tokenizer files in which every byte is a token and its value the id, as a checkpoint carries them, with a chat template.
 * Random tokens then make broken and repeated UTF-8, which a detokenizer must carry over a change of worker.
 */
export function byteTokenizer(): ReadonlyMap<string, Uint8Array> {
  const vocab = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [BYTE_CHARACTERS[byte]!, byte]));
  const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    ...{ version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null },
    ...{ pre_tokenizer: level, post_processor: null, decoder: level },
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, vocab, merges: [] },
  };
  const template =
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}";
  const config = { chat_template: template };
  const file = (content: object) => Buffer.from(JSON.stringify(content));
  return new Map([
    ['tokenizer.json', file(tokenizer)],
    ['tokenizer_config.json', file(config)],
  ]);
}

/** The character that stands for each byte in byte-level vocabularies: itself when printable, else one from 256 on. */
const BYTE_CHARACTERS: readonly string[] = (() => {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();
