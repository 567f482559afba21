import { createHash } from 'node:crypto';

const MAX_JITTER_MS = 3_600_000;

/**
 * Milliseconds added to the rotation period, from 0 up to the lesser of period/10 and an hour, the same each time it is
 * asked: key sets made at one moment do not rotate at one moment for ever.
 */
export function jitterMs(uid: string, serial: number, periodMs: number): number {
  const range = Math.floor(Math.min(periodMs / 10, MAX_JITTER_MS));
  if (range < 1) return 0;
  return createHash('sha256').update(`${uid}\n${serial}`).digest().readUIntBE(0, 6) % range;
}
