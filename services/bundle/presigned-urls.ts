import { RondoError } from '@rondo/core';

/**
 * Presigned URLs, one a line, each of a file that lies directly at `source`, by the file's name: an object store signs one object
 * at a time. Empty lines count for nothing.
 * @throws RondoError CONFIG_INVALID naming the line; no message holds one, since whoever has such a URL may read.
 */
export function presignedUrls(text: string, source: string): ReadonlyMap<string, string> {
  const place = `${source.replace(/\/+$/, '')}/`;
  const urls = new Map<string, string>();
  for (const [at, line] of text.split('\n').entries()) {
    const url = line.trim();
    if (url === '') continue;
    const wrong = (what: string) =>
      new RondoError(
        'CONFIG_INVALID',
        `presigned URLs, line ${at + 1}: ${what}; expected ${place}<file>?<signature>`,
      );
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw wrong('no http(s) URL');
    if (!url.startsWith(place)) throw wrong('a URL of another place');
    const [name] = url.slice(place.length).split('?') as [string];
    if (!/^[A-Za-z0-9._-]+$/.test(name)) throw wrong('no file directly at that place');
    if (urls.has(name)) throw wrong(`${name} is there twice`);
    urls.set(name, url);
  }
  if (urls.size > 0) return urls;
  throw new RondoError(
    'CONFIG_INVALID',
    `presigned URLs: none is there; expected lines of ${place}<file>?<signature>`,
  );
}
