import type { CheckedHead } from './check-head.ts';
import { ChunkedDecoder, type ChunkSink } from './chunked-decoder.ts';
import type { ProtocolRefusal } from './rescue.ts';

/** Finds the end of one request body (RFC 9112 §6), by its length or by its chunks. */
export class RequestBody {
  #left: number;
  readonly #chunks: ChunkedDecoder | null;

  constructor({ body, contentLength }: Pick<CheckedHead, 'body' | 'contentLength'>) {
    this.#left = contentLength;
    this.#chunks = body === 'chunked' ? new ChunkedDecoder() : null;
  }

  get done(): boolean {
    return this.#chunks === null ? this.#left === 0 : this.#chunks.done;
  }

  /** Passes body bytes on; returns how many of `data` belong to this body, or why it is refused. */
  push(data: Buffer, sink: ChunkSink): number | ProtocolRefusal {
    if (this.#chunks !== null) {
      const used = this.#chunks.push(data, sink);
      if (used >= 0) return used;
      return this.#chunks.overlong ? 'chunk_extensions_too_large' : 'bad_framing';
    }
    const used = Math.min(this.#left, data.length);
    this.#left -= used;
    sink.onChunk(used === data.length ? data : data.subarray(0, used));
    return used;
  }
}
