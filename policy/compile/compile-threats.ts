import { parseByteSize } from '../api/byte-size.ts';
import { parseDuration } from '../api/duration.ts';
import { parseRate } from '../api/rate.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { PenaltiesConfig, ThreatsConfig } from '../bundle/threats.ts';
import { checkMatch } from './compile-match.ts';
import type { Findings } from './finding.ts';

type Spec = RateLimitPolicy['spec'];
type Threats = NonNullable<Spec['threats']>;

/** What limits count by that is more than one client's: refusing all of it would let one client lock out the others. */
const SHARED_KEYS: readonly string[] = ['tier', 'rule'];

/** The members `penalties` and `threats` of a limits bundle; each absent where the policy has none. */
export function compileThreats(
  spec: Spec,
  findings: Findings,
): { readonly penalties?: PenaltiesConfig; readonly threats?: ThreatsConfig } {
  const { penalties, threats } = spec;
  return {
    ...(penalties !== undefined && { penalties: compilePenalties(spec, penalties, findings) }),
    ...(threats !== undefined && { threats: compileEach(threats, findings) }),
  };
}

function compilePenalties(
  { limits }: Spec,
  { after, within, block, multiplier, max }: NonNullable<Spec['penalties']>,
  findings: Findings,
): PenaltiesConfig {
  const punishing = limits.filter(({ key }) => key.some((part) => !SHARED_KEYS.includes(part)));
  if (punishing.length === 0) {
    findings.warn(
      ['spec', 'penalties'],
      'blocks nobody: there is no limit whose key holds ip, user, tenant or a claim; add one, or remove penalties',
    );
  }
  return { after, withinMs: ms(within), blockMs: ms(block), multiplier, maxMs: ms(max) };
}

function compileEach(threats: Threats, findings: Findings): ThreatsConfig {
  const { bruteForce, abuse, scanning, exfiltration } = threats;
  const place = ['spec', 'threats'];
  if (Object.keys(threats).length === 0) {
    findings.warn(place, 'watches for nothing; write bruteForce, abuse, scanning or exfiltration, or remove it');
  }
  return {
    ...(bruteForce !== undefined && {
      bruteForce: compileBruteForce(bruteForce, [...place, 'bruteForce'], findings),
    }),
    ...(abuse !== undefined && { abuse: compileAbuse(abuse, [...place, 'abuse'], findings) }),
    ...(scanning !== undefined && {
      scanning: {
        statuses: scanning.statuses,
        count: scanning.count,
        withinMs: ms(scanning.within),
        blockMs: ms(scanning.block),
      },
    }),
    ...(exfiltration !== undefined && {
      exfiltration: {
        bytes: parseByteSize(exfiltration.bytes) ?? 0,
        withinMs: ms(exfiltration.within),
        key: exfiltration.key,
      },
    }),
  };
}

function compileBruteForce(
  { failures, within, keys, block, paths }: NonNullable<Threats['bruteForce']>,
  place: readonly string[],
  findings: Findings,
): NonNullable<ThreatsConfig['bruteForce']> {
  checkMatch({ hosts: [], paths, methods: [] }, place, findings);
  return { failures, withinMs: ms(within), keys, blockMs: ms(block), paths };
}

function compileAbuse(
  abuse: NonNullable<Threats['abuse']>,
  place: readonly string[],
  findings: Findings,
): NonNullable<ThreatsConfig['abuse']> {
  const { requests, key } = abuse;
  const withinMs = ms(abuse.within);
  const throttle = parseRate(abuse.throttle) ?? { limit: 1, windowMs: 1 };
  if (throttle.limit * withinMs >= requests * throttle.windowMs) {
    findings.error(
      [...place, 'throttle'],
      `${abuse.throttle} slows nobody down who sends ${requests} requests in ${abuse.within}; write a lower rate, such as ${Math.max(1, Math.floor(requests / 10))}/${abuse.within}`,
    );
  }
  return { requests, withinMs, key, throttle, forMs: ms(abuse.for) };
}

/** The schema has checked that it is a duration. */
function ms(duration: string): number {
  return parseDuration(duration) ?? 0;
}
