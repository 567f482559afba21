import { isHostName, normalizeHost } from './normalize-host.ts';
import type { ParseResult } from './parse-result.ts';

/** A parsed host pattern. */
export interface HostPattern {
  /** The host itself, or for a wildcard the suffix with its leading dot. */
  readonly value: string;
  readonly wildcard: boolean;
}

/** Parses an exact host, or `*.example.com` for one or more labels before the suffix. */
export function parseHostPattern(text: string): ParseResult<HostPattern> {
  if (text.startsWith('*.') && isHostName(text.slice(2))) {
    return { ok: true, value: { value: text.slice(1), wildcard: true } };
  }
  if (normalizeHost(text) === text) return { ok: true, value: { value: text, wildcard: false } };
  const remedy = 'write a lower-case host without port or trailing dot, or *.example.com';
  return { ok: false, message: `host pattern "${text}" is not a host; ${remedy}` };
}

/** Whether a host, as `normalizeHost` returns it, matches. */
export function matchesHost(pattern: HostPattern, host: string): boolean {
  if (!pattern.wildcard) return host === pattern.value;
  return host.length > pattern.value.length && host.endsWith(pattern.value);
}

/** Negative when `a` is more specific than `b`: exact, then wildcards from the longest suffix to the shortest, then null (none). */
export function compareHosts(a: HostPattern | null, b: HostPattern | null): number {
  return rank(a) - rank(b);
}

function rank(pattern: HostPattern | null): number {
  if (pattern === null) return 1000;
  return pattern.wildcard ? 500 - pattern.value.length : 0;
}
