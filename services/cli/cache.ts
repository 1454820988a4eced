import { fileURLToPath } from 'node:url';

/** What is pulled and made on the way: in the checkout, whatever directory the command runs in. */
export const CACHE = fileURLToPath(new URL('../../.cache/', import.meta.url));
