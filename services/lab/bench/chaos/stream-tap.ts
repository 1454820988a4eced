/** Frames of HTTP/2 (RFC 9113, section 4.1): 24 bits of length, 8 of type, 8 of flags, 32 of stream id. */
const HEADER_BYTES = 9;
const PREFACE_BYTES = 24;
const [DATA, HEADERS, RST_STREAM, PUSH_PROMISE, CONTINUATION] = [0, 1, 3, 5, 9];
const END_STREAM = 0x1;
const END_HEADERS = 0x4;

/** How a stream is reset; the codes of RFC 9113, section 7. */
export const RESET_CODES = { internalError: 2, refusedStream: 7, cancel: 8 } as const;

export interface StreamEvents {
  opened(stream: number): void;
  ended(stream: number): void;
}

/** Passes the bytes of one direction of an HTTP/2 connection on, and puts a RST_STREAM between two frames when asked to. */
export class StreamTap {
  readonly #events: StreamEvents;
  /** Bytes that belong to what has begun: the preface, a frame's payload. */
  #rest: number;
  #header = Buffer.alloc(0);
  /** Nothing may stand between a HEADERS frame and its CONTINUATIONs. */
  #inHeaders = false;
  #due: Buffer[] = [];

  constructor(side: 'client' | 'server', events: StreamEvents) {
    this.#events = events;
    this.#rest = side === 'client' ? PREFACE_BYTES : 0;
  }

  /** Resets `stream` as if the sender of this direction did. Returns what can be sent at once; the rest follows with `push`. */
  reset(stream: number, code: number): Buffer {
    const frame = Buffer.alloc(HEADER_BYTES + 4);
    frame.writeUIntBE(4, 0, 3);
    frame[3] = RST_STREAM;
    frame.writeUInt32BE(stream, 5);
    frame.writeUInt32BE(code, HEADER_BYTES);
    this.#due.push(frame);
    return this.#take();
  }

  /** What to send on for `bytes`. */
  push(bytes: Buffer): Buffer {
    const parts: Buffer[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#rest === 0) at = this.#readHeader(bytes, at, parts);
      const payload = bytes.subarray(at, at + this.#rest);
      this.#rest -= payload.length;
      at += payload.length;
      parts.push(payload, this.#take());
    }
    return Buffer.concat(parts);
  }

  #readHeader(bytes: Buffer, at: number, parts: Buffer[]): number {
    const piece = bytes.subarray(at, at + HEADER_BYTES - this.#header.length);
    parts.push(piece);
    this.#header = Buffer.concat([this.#header, piece]);
    if (this.#header.length === HEADER_BYTES) {
      this.#look(this.#header);
      this.#rest = this.#header.readUIntBE(0, 3);
      this.#header = Buffer.alloc(0);
    }
    return at + piece.length;
  }

  #look(header: Buffer): void {
    const [type, flags] = [header[3]!, header[4]!];
    const stream = header.readUInt32BE(5) & 0x7fffffff;
    if (type === HEADERS || type === PUSH_PROMISE || type === CONTINUATION)
      this.#inHeaders = (flags & END_HEADERS) === 0;
    if (type === HEADERS) this.#events.opened(stream);
    const ends = (type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0;
    if (ends || type === RST_STREAM) this.#events.ended(stream);
  }

  #take(): Buffer {
    if (this.#rest > 0 || this.#header.length > 0 || this.#inHeaders) return Buffer.alloc(0);
    return Buffer.concat(this.#due.splice(0));
  }
}
