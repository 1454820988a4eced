/**
 * What keeps `key` from being sent in a header, in words for whoever pasted it; undefined when nothing does. Keys are printable
 * ASCII; what a page or a chat adds in copying, such as a zero-width space, is not seen in the field.
 */
export function keyFault(key: string): string | undefined {
  const at = [...key].findIndex((character) => !/^[!-~]$/.test(character));
  if (at === -1) return undefined;
  const code = [...key][at]!.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  return `Character ${at + 1} of this key is U+${code}, which no key has: copy it again from what rondo key new printed.`;
}
