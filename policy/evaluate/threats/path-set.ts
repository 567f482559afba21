import type { PathMatching } from '../../bundle/types.ts';
import type { NormalizedPath } from '../normalize-path.ts';
import { valueOrThrow } from '../parse-result.ts';
import { parsePattern } from '../path-pattern.ts';
import { PathTree } from '../path-tree.ts';

/**
 * Whether a path matches one of `patterns`.
 * @param owner for the message, such as `threats.bruteForce`
 * @throws PortcullisError `bundle_invalid`
 */
export function pathSet(
  patterns: readonly string[],
  matching: PathMatching,
  owner: string,
): (path: NormalizedPath) => boolean {
  if (patterns.length === 0) return () => false;
  const tree = new PathTree<true>(matching);
  for (const pattern of patterns) tree.leafFor(valueOrThrow(parsePattern(pattern), owner), () => true);
  let found = false;
  const visitor = { visit: () => (found = true) };
  return (path) => {
    found = false;
    tree.walk(path, visitor);
    return found;
  };
}
