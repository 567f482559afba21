import { createHmac, timingSafeEqual, verify } from 'node:crypto';
import type { LoadedKey } from './load-keys.ts';

/** Checks JWS signatures (RFC 7515 §5.2) with the algorithm of the key, never one of the token's choice. */
export interface SignatureVerifier {
  /** A promise only for RSA and EC keys; it never rejects. */
  verify(key: LoadedKey, signingInput: Buffer, signature: Buffer): boolean | Promise<boolean>;
}

/** A check waiting for a free thread. */
interface QueuedCheck {
  readonly key: LoadedKey;
  readonly signingInput: Buffer;
  readonly signature: Buffer;
  readonly resolve: (valid: boolean) => void;
}

/** How many RSA and EC checks run and wait. */
export interface SignatureVerifierBounds {
  /** On libuv's thread pool at a time. */
  readonly maxConcurrent: number;
  /** Waiting for a thread; what comes on top is checked in place, which slows down reading and so the flood itself. */
  readonly maxWaiting: number;
}

/**
 * Creates a verifier that runs HMAC in place and RSA and EC on libuv's thread pool, never on all of its threads, so that
 * a flood of new tokens leaves some for DNS and files, and never refuses a good token for lack of room.
 */
export function createSignatureVerifier(bounds: SignatureVerifierBounds): SignatureVerifier {
  let running = 0;
  let waiting: QueuedCheck[] = [];
  let next = 0;

  function start(check: QueuedCheck): void {
    running++;
    verifyOnThreadPool(check, (valid) => {
      running--;
      check.resolve(valid);
      const queued = waiting[next];
      if (queued === undefined) return;
      next++;
      // Now and then, so that a queue that never runs empty does not keep what it has answered.
      if (next === waiting.length || next >= bounds.maxWaiting) {
        waiting = waiting.slice(next);
        next = 0;
      }
      start(queued);
    });
  }

  return {
    verify(key, signingInput, signature) {
      if (signature.length !== key.signatureBytes) return false;
      if (key.algorithm === 'HS256') {
        return timingSafeEqual(createHmac('sha256', key.key).update(signingInput).digest(), signature);
      }
      if (waiting.length - next >= bounds.maxWaiting) return verifyInPlace(key, signingInput, signature);
      return new Promise((resolve) => {
        const check = { key, signingInput, signature, resolve };
        if (running < bounds.maxConcurrent) start(check);
        else waiting.push(check);
      });
    },
  };
}

// dsaEncoding: JWS carries r ‖ s (RFC 7518 §3.4), not the DER that OpenSSL expects; RSA ignores it.
const JWS_ENCODING = { dsaEncoding: 'ieee-p1363' } as const;

function verifyOnThreadPool({ key, signingInput, signature }: QueuedCheck, done: (valid: boolean) => void): void {
  verify('sha256', signingInput, { key: key.key, ...JWS_ENCODING }, signature, (error, valid) => {
    done(error === null && valid);
  });
}

function verifyInPlace({ key }: LoadedKey, signingInput: Buffer, signature: Buffer): boolean {
  return verify('sha256', signingInput, { key, ...JWS_ENCODING }, signature);
}
