import type { RequestMatch } from '../bundle/types.ts';
import { type HostPattern, parseHostPattern } from './host-pattern.ts';
import { valueOrThrow } from './parse-result.ts';
import { EVERY_PATH, type PathPattern, parsePattern } from './path-pattern.ts';

/** The patterns of one `match`. No hosts: any host; no paths were written: the pattern for every path. */
export interface ParsedMatch {
  readonly hosts: readonly HostPattern[];
  readonly patterns: readonly PathPattern[];
}

/**
 * Parses the patterns of a `match` from a bundle.
 * @param owner for the message, such as `rule "login"`
 * @throws PortcullisError `bundle_invalid`
 */
export function parseMatch(match: RequestMatch, owner: string): ParsedMatch {
  return {
    hosts: match.hosts.map((host) => valueOrThrow(parseHostPattern(host), owner)),
    patterns:
      match.paths.length === 0 ? [EVERY_PATH] : match.paths.map((path) => valueOrThrow(parsePattern(path), owner)),
  };
}
