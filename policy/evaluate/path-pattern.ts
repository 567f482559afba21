import type { ParseResult } from './parse-result.ts';

/** One segment of a pattern. Literal text is decoded. */
export type PatternSegment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: string };

/** A parsed path pattern. */
export interface PathPattern {
  /** As written. */
  readonly text: string;
  readonly segments: readonly PatternSegment[];
  /** Ends with `**`: any number of further segments, none included. */
  readonly rest: boolean;
  /** Ends with `/`: under `trailingSlash: Strict` only paths that do too match. Never with `rest`. */
  readonly trailingSlash: boolean;
}

const PARAMETER = /^\{([A-Za-z_][A-Za-z0-9_]{0,62})\}$/;

/** The pattern that matches every path: what an omitted list of paths means. */
export const EVERY_PATH: PathPattern = Object.freeze({ text: '/**', segments: [], rest: true, trailingSlash: false });

/** Parses a pattern of literal segments, `{name}` (exactly one segment) and `**` (last). Literals may be percent-encoded. */
export function parsePattern(text: string): ParseResult<PathPattern> {
  if (!text.startsWith('/')) return refuse(text, 'starts without "/"; write an absolute path such as /orders/{id}');
  const parts = text.slice(1).split('/');
  const trailingSlash = parts.length > 1 && parts.at(-1) === '';
  if (trailingSlash || text === '/') parts.pop();
  const rest = parts.at(-1) === '**';
  if (rest && trailingSlash) return refuse(text, 'has "/" after "**"; end it with "**"');
  if (rest) parts.pop();
  const segments: PatternSegment[] = [];
  const names = new Set<string>();
  for (const part of parts) {
    const name = PARAMETER.exec(part)?.[1];
    if (name !== undefined) {
      if (names.has(name)) return refuse(text, `uses {${name}} twice; give each parameter a name of its own`);
      names.add(name);
      segments.push({ kind: 'parameter', name });
      continue;
    }
    const problem = problemOf(part);
    if (problem !== null) return refuse(text, problem);
    segments.push({ kind: 'literal', text: decodeURIComponent(part) });
  }
  return { ok: true, value: { text, segments, rest, trailingSlash } };
}

/** Names of the parameters of a pattern, from left to right. */
export function parameterNames(pattern: PathPattern): string[] {
  return pattern.segments.flatMap((segment) => (segment.kind === 'parameter' ? [segment.name] : []));
}

function problemOf(part: string): string | null {
  if (part === '') return 'has an empty segment; request paths are compared with "//" merged, so write one "/"';
  if (part === '**') return 'has "**" before its end; only the last segment may be "**"';
  if (/[{}*]/.test(part)) return `has the segment "${part}"; a segment is a literal, {name} or, last, "**"`;
  let decoded: string;
  try {
    decoded = decodeURIComponent(part);
  } catch {
    return `has an invalid percent-encoding in "${part}"; write UTF-8 as %XX, and "%" itself as %25`;
  }
  if (decoded === '.' || decoded === '..') return `has the segment "${part}"; write the path it resolves to`;
  if (/[?#]/.test(part)) return `has "?" or "#"; query and fragment are never part of a match`;
  if (/[/\\\u0000-\u001f\u007f]/.test(decoded)) {
    return `has "/", "\\" or a control character inside "${part}"; requests with those are refused, so it can never match`;
  }
  return null;
}

function refuse(text: string, what: string): { ok: false; message: string } {
  return { ok: false, message: `path pattern "${text}" ${what}` };
}
