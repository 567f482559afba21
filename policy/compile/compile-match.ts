import { METHODS } from 'node:http';
import { didYouMean } from '../api/nearest.ts';
import type { Path } from '../api/problem.ts';
import type { RequestMatch } from '../bundle/types.ts';
import { type HostPattern, parseHostPattern } from '../evaluate/host-pattern.ts';
import { EVERY_PATH, type PathPattern, parsePattern } from '../evaluate/path-pattern.ts';
import type { Findings } from './finding.ts';

const HTTP_METHODS: ReadonlySet<string> = new Set(METHODS);

/** A match whose parts were all understood. */
export interface CheckedMatch {
  /** As in `RuleFinder`: no hosts are one null, no paths the pattern for every path. */
  readonly hosts: readonly (HostPattern | null)[];
  readonly patterns: readonly PathPattern[];
  readonly methods: readonly string[];
}

/** Checks hosts, path patterns and methods of a match at `path`; null when some of them make no sense. */
export function checkMatch(match: RequestMatch, path: Path, findings: Findings): CheckedMatch | null {
  let sound = true;
  const refuse = (list: string, index: number, message: string) => {
    sound = false;
    findings.error([...path, list, index], message);
  };
  const hosts = match.hosts.flatMap((text, index) => {
    const parsed = parseHostPattern(text);
    if (parsed.ok) return [parsed.value];
    refuse('hosts', index, parsed.message);
    return [];
  });
  const patterns = match.paths.flatMap((text, index) => {
    const parsed = parsePattern(text);
    if (parsed.ok) return [parsed.value];
    refuse('paths', index, parsed.message);
    return [];
  });
  for (const [index, method] of match.methods.entries()) {
    const message = methodProblem(method);
    if (message !== null) refuse('methods', index, message);
  }
  if (!sound) return null;
  return {
    hosts: hosts.length === 0 ? [null] : hosts,
    patterns: patterns.length === 0 ? [EVERY_PATH] : patterns,
    methods: match.methods,
  };
}

function methodProblem(method: string): string | null {
  if (method === 'CONNECT' || method === 'TRACE') return `${method} is refused before any rule; leave it out`;
  if (HTTP_METHODS.has(method)) return null;
  const near = didYouMean(method, METHODS) || '; write a method such as GET or POST';
  return `"${method}" is a method that no request arrives with, because the HTTP parser refuses it${near}`;
}
