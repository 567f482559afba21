import { createHmac, timingSafeEqual, verify } from 'node:crypto';
import type { LoadedKey, SignatureCheck } from './load-keys.ts';

type PublicKeyCheck = SignatureCheck & { readonly kind: 'PublicKey' };

/** Checks JWS signatures (RFC 7515 §5.2) with the algorithm of the key, never one of the token's choice. */
export interface SignatureVerifier {
  /** A promise only for public keys; it never rejects. */
  verify(key: LoadedKey, signingInput: Buffer, signature: Buffer): boolean | Promise<boolean>;
}

/** A check waiting for a free thread. */
interface QueuedCheck {
  readonly check: PublicKeyCheck;
  readonly signingInput: Buffer;
  readonly signature: Buffer;
  readonly resolve: (valid: boolean) => void;
}

/** How many checks by public keys run and wait. */
export interface SignatureVerifierBounds {
  /** On libuv's thread pool at a time. */
  readonly maxConcurrent: number;
  /** Waiting for a thread; what comes on top is checked in place, which slows down reading and so the flood itself. */
  readonly maxWaiting: number;
}

/**
 * Creates a verifier that runs HMAC in place and public keys on libuv's thread pool, never on all of its threads, so that
 * a flood of new tokens leaves some for DNS and files, and never refuses a good token for lack of room.
 */
export function createSignatureVerifier(bounds: SignatureVerifierBounds): SignatureVerifier {
  let running = 0;
  let waiting: QueuedCheck[] = [];
  let next = 0;

  function start(queued: QueuedCheck): void {
    running++;
    const { check, signingInput, signature } = queued;
    verify(check.hash, signingInput, check.key, signature, (error, valid) => {
      running--;
      queued.resolve(error === null && valid);
      const following = waiting[next];
      if (following === undefined) return;
      next++;
      // Now and then, so that a queue that never runs empty does not keep what it has answered.
      if (next === waiting.length || next >= bounds.maxWaiting) {
        waiting = waiting.slice(next);
        next = 0;
      }
      start(following);
    });
  }

  return {
    verify({ check, signatureBytes }, signingInput, signature) {
      if (signature.length !== signatureBytes) return false;
      if (check.kind === 'Hmac') {
        return timingSafeEqual(createHmac(check.hash, check.key).update(signingInput).digest(), signature);
      }
      if (waiting.length - next >= bounds.maxWaiting) return verify(check.hash, signingInput, check.key, signature);
      return new Promise((resolve) => {
        const queued = { check, signingInput, signature, resolve };
        if (running < bounds.maxConcurrent) start(queued);
        else waiting.push(queued);
      });
    },
  };
}
