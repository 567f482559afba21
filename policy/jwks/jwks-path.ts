import type { PathMatching } from '../bundle/types.ts';
import type { NormalizedPath } from '../evaluate/normalize-path.ts';
import { RuleFinder } from '../evaluate/rule-finder.ts';

/**
 * Whether the path of a request is that of the JWKS, compared as the policy compares paths. Throws PortcullisError
 * `bundle_invalid` for what is no path.
 */
export function jwksPathMatcher(jwksPath: string, matching: PathMatching): (path: NormalizedPath) => boolean {
  const match = { hosts: [], paths: [jwksPath], methods: [] };
  const finder = new RuleFinder([{ name: 'tokens.jwksPath', match, allow: [] }], matching);
  return (path) => finder.find('', path, 'GET') !== null;
}
