import { Template } from '@huggingface/jinja';
import { RondoError } from '@rondo/core';

/** A message as templates see it: plain text content. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string | undefined;
}

/** Turns a conversation into the prompt text the model was trained on. */
export interface ChatTemplate {
  /** In Jinja's language. */
  readonly source: string;
  /** @throws RondoError INVALID_REQUEST with param `messages` when the template refuses the conversation. */
  render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string;
  /** True when the template speaks of `role` beyond the usual three. */
  knowsRole(role: string): boolean;
}

/** What Hugging Face's apply_chat_template hands over when it is not given any: templates ask whether they are none. */
const ABSENT = { tools: null, documents: null };

const SPECIAL_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token'];

/**
 * The template from a file of its own, else from tokenizer_config.json (a string, or a list of named templates of which
 * `default` is taken); undefined when there is none.
 */
export function parseChatTemplate(
  config: Readonly<Record<string, unknown>>,
  file: string | undefined,
): ChatTemplate | undefined {
  const source = file ?? templateIn(config.chat_template);
  if (source === undefined) return undefined;
  const template = new Template(source);
  const specials = specialTokens(config);
  return {
    source,
    render(messages, addGenerationPrompt) {
      try {
        return template.render({
          ...{ ...ABSENT, ...specials },
          ...{ messages, add_generation_prompt: addGenerationPrompt },
        });
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new RondoError('INVALID_REQUEST', `the chat template refuses these messages: ${reason}`, {
          param: 'messages',
          cause,
        });
      }
    },
    knowsRole: (role) => source.includes(`'${role}'`) || source.includes(`"${role}"`),
  };
}

/** The control tokens that tokenizer_config.json names, as their text; '' for one that it does not. */
export const specialTokens = (config: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(SPECIAL_TOKENS.map((name) => [name, tokenText(config[name])]));

function templateIn(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as readonly { readonly name?: unknown; readonly template?: unknown }[];
  const chosen = named.find((entry) => entry.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}

/** A token in tokenizer_config.json is its text or an object that holds it; templates expect '' for a missing one. */
function tokenText(value: unknown): string {
  if (typeof value === 'string') return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : '';
}
