import type { IncomingMessage } from 'node:http';

/**
 * Most that is read of one AdmissionReview. The API server takes objects of up to 3 MiB (its limit for a request) and stores
 * up to 1.5 MiB (etcd's), so that an update brings 4.5 MiB at most, unless JSON escapes make it longer.
 */
export const MAX_REVIEW_BYTES = 6 * 1024 * 1024;

/** Reviews up to this are always read: who only announces large ones must not keep them out. As many as there are connections fit. */
export const SMALL_REVIEW_BYTES = 64 * 1024;

/** Most that is held of larger reviews at a time. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024;

/** Past this nobody waits for the end of what is thrown away. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;
/** The API server writes a review's uid before its object. */
const HEAD_BYTES = 1024;

/** What was read: its beginning, and all of it if that was to be kept. */
export interface ReviewBody {
  readonly head: string;
  readonly text: string;
}

/**
 * Reads a whole body, which its Content-Length bounds; what is not to be kept is read to its end all the same, for a client
 * that is still sending may not see an answer. Rejects when the sender ends early, or sends more than anybody could mean.
 */
export async function readReviewBody(request: IncomingMessage, keep: boolean): Promise<ReviewBody> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head = '';
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (head.length < HEAD_BYTES) head += chunk.toString('latin1', 0, HEAD_BYTES - head.length);
    if (keep) chunks.push(chunk);
    if (bytes > MAX_DISCARDED_BYTES) throw new Error('body without end');
  }
  return { head, text: Buffer.concat(chunks).toString() };
}

/** The uid of a review of which only the beginning is known; null when it is not there. */
export function uidIn(head: string): string | null {
  return /"request":\s*\{\s*"uid":\s*"([0-9a-f-]{36})"/.exec(head)?.[1] ?? null;
}
