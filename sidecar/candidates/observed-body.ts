import type { BodyRefusal, BodySource } from '../pipeline/exchange.ts';

/** What a candidate would have to read is not there: the live policy did not read it. */
export class BodyNotRead extends Error {}

/** The body of a request for its live policy, which alone reads it; a candidate sees afterwards what was read. */
export class ObservedBody implements BodySource {
  readonly #source: BodySource;
  #maxBytes = 0;
  #read: Promise<Buffer | BodyRefusal> | null = null;

  constructor(source: BodySource) {
    this.#source = source;
  }

  readBody(maxBytes: number): Promise<Buffer | BodyRefusal> {
    const read = this.#source.readBody(maxBytes);
    if (this.#read === null) {
      this.#read = read;
      this.#maxBytes = maxBytes;
    }
    return read;
  }

  /** For the candidate, once the request is over. Rejects with BodyNotRead. */
  readonly afterwards: BodySource = {
    readBody: async (maxBytes) => {
      // Of a request that is over nothing more is read: this finds out that there was no body, or that it was announced too large.
      const body = await (this.#read ?? this.#source.readBody(maxBytes));
      if (typeof body !== 'string') return body.length > maxBytes ? 'body_too_large' : body;
      if (body === 'body_too_large' && (this.#read === null || maxBytes <= this.#maxBytes)) return body;
      throw new BodyNotRead();
    },
  };
}
