import { z } from 'zod';
import type { ChatMessage, ChatTemplate } from './chat-template.ts';
import { invalid } from './openai-error.ts';

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function'] as const;

const textPart = z.looseObject({ type: z.literal('text'), text: z.string() });

/** Loose, so that an answer's own message (with `refusal: null`, vLLM's `tool_calls: []` and the like) can be sent back as history. */
const message = z.looseObject({
  role: z.enum(ROLES),
  content: z
    .union([z.string(), z.array(textPart)], "expected a string or a list of {type: 'text', text} parts")
    .nullish(),
  name: z.string().nullish(),
});

export const messagesSchema = z.array(message).min(1, 'is empty');

/**
 * Messages as the template sees them: parts joined, `developer` called `system`.
 * @throws RondoError with param `messages[i]…` for a role the template does not know, or a message without text.
 */
export function templateMessages(
  messages: z.infer<typeof messagesSchema>,
  template: ChatTemplate,
): ChatMessage[] {
  return messages.map(({ role, content, name, ...rest }, index) => {
    const at = (field: string) => `messages[${index}].${field}`;
    if ((role === 'tool' || role === 'function') && !template.knowsRole(role)) {
      throw invalid(at('role'), `the model's chat template has no role '${role}'`);
    }
    const { tool_calls: calls } = rest;
    if (calls !== undefined && calls !== null && !(Array.isArray(calls) && calls.length === 0)) {
      throw invalid(at('tool_calls'), 'tool calls are not supported by this server');
    }
    if (role !== 'assistant' && (content === undefined || content === null)) {
      throw invalid(at('content'), 'is required');
    }
    const text = typeof content === 'string' ? content : (content ?? []).map((part) => part.text).join('');
    return {
      role: role === 'developer' ? 'system' : role,
      content: text,
      ...(typeof name === 'string' ? { name } : {}),
    };
  });
}
