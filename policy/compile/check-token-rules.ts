import type { Path } from '../api/problem.ts';
import type { AccessBundle, AccessRule } from '../bundle/types.ts';
import { normalizePath } from '../evaluate/normalize-path.ts';
import { RuleFinder } from '../evaluate/rule-finder.ts';
import type { Findings } from './finding.ts';

const TOKENS: Path = ['spec', 'tokens'];

/**
 * Warns of endpoints that no rule lets anybody reach, and of paths of the application that are for the sidecar alone and that some rule
 * lets clients reach. For policies without an error.
 */
export function checkTokenRules(
  { tokens, rules, pathMatching }: Pick<AccessBundle, 'tokens' | 'rules' | 'pathMatching'>,
  findings: Findings,
): void {
  const endpoints = tokens?.endpoints;
  if (endpoints === undefined) return;
  const finder = new RuleFinder(rules, pathMatching);
  // A wildcard matches what stands before its dot, whatever it is.
  const hosts = new Set(['', ...rules.flatMap(({ match }) => match.hosts.map((host) => host.replace('*', 'any')))]);
  const rulesFor = (path: string): readonly AccessRule[] =>
    [...hosts].flatMap((host) => rules[finder.find(host, path, 'POST')?.index ?? -1] ?? []);

  // What decoding refused is compiled too, and no path of a request.
  const isPath = (path: string): boolean => normalizePath(path, pathMatching) === path;
  const { login, register, refresh, logout } = endpoints;
  for (const [member, endpoint] of Object.entries({ login, register, refresh, logout })) {
    if (endpoint === null || !isPath(endpoint.path)) continue;
    if (rulesFor(endpoint.path).some(({ allow }) => allow.some(({ anonymous }) => anonymous === true))) continue;
    findings.warn(
      [...TOKENS, member, 'path'],
      `no rule lets anybody in there who brings no valid token; add {name: ${member}, match: {paths: [${endpoint.path}], methods: [POST]}, allow: [{anonymous: true}]} to rules`,
    );
  }
  const ours: readonly (readonly [Path, string | undefined | null])[] = [
    [['login', 'credentials', 'upstream', 'path'], login.upstream],
    [['register', 'upstream'], register?.upstream],
  ];
  for (const [at, path] of ours) {
    const rule =
      path && isPath(path) ? rulesFor(path).find(({ allow }) => allow.some(({ when }) => when !== 'false')) : undefined;
    if (rule === undefined) continue;
    findings.warn(
      [...TOKENS, ...at],
      `rule "${rule.name}" lets clients ask the application there themselves, past every check of the endpoint; write another path, or a rule for this one with allow: [{when: "false"}]`,
    );
  }
}
