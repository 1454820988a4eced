/** Entries from which on a list may scroll in itself. */
const LONG = 8;

/** A list that scrolls can be reached by the keyboard. */
export const longList = (entries: number): { tabIndex?: 0 } => (entries > LONG ? { tabIndex: 0 } : {});
