/** An origin-form request target (RFC 9112 §3.2.1) in its two parts. */
export interface SplitTarget {
  /** Before the first `?`; not yet normalised. */
  readonly path: string;
  /** From the first `?` on, `?` included, forwarded unchanged; empty without one. */
  readonly query: string;
}

/** Splits a target at its first `?`. Null (refuse with 400): `#`, a blank, a control character or an octet >= 0x80 in the query. */
export function splitTarget(target: string): SplitTarget | null {
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, query: '' };
  for (let at = mark; at < target.length; at++) {
    const code = target.charCodeAt(at);
    if (code <= 0x20 || code >= 0x7f || code === 0x23) return null;
  }
  return { path: target.slice(0, mark), query: target.slice(mark) };
}
