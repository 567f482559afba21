import type { AccessBundle } from '../../policy/bundle/types.ts';
import type { BodyConfig } from '../../policy/evaluate/body/body-config.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Decision } from '../pipeline/filter.ts';
import type { Demand } from '../stores/limiter-store.ts';
import type { AskedCredential } from './asked-credential.ts';
import { explainDecision, whyNoRule } from './explain-rules.ts';
import type { LayerVerdict } from './explanation.ts';
import type { RecordingStore } from './recording-store.ts';

/** What layers work with, and what they left there. */
export interface LayerTraces {
  readonly access: AccessBundle;
  readonly credential: AskedCredential;
  readonly store: RecordingStore;
}

/** Why a layer decided what it did, in sentences for people. */
export function describeLayer(
  layer: string,
  decision: Decision,
  exchange: Exchange,
  { access, credential, store }: LayerTraces,
): string[] {
  const { rule, identity } = exchange;
  switch (layer) {
    case 'route':
      return rule === null
        ? whyNoRule(access, exchange)
        : [
            `rule "${rule.name}"`,
            ...Object.entries(rule.params).map(([name, value]) => `path.${name} = ${JSON.stringify(value)}`),
          ];
    case 'authenticate': {
      const charged = store.take().map(limitText);
      const words = credential.words(decision, exchange);
      if (identity === null) return [...words, ...charged];
      const { user, roles, tenant } = identity;
      return [...words, `user ${user}, roles ${roles.join(', ') || 'none'}, tenant ${tenant}`, ...charged];
    }
    case 'limit-by-address':
    case 'limit-by-subject': {
      const counted = store.take().map(limitText);
      const tier = layer === 'limit-by-subject' ? [`tier ${exchange.tier}`] : [];
      return counted.length === 0 ? ['no limit applies'] : [...tier, ...counted];
    }
    case 'token-endpoint':
      return decision?.kind === 'answer' ? ['a token endpoint: what it answers is in the body that it gets'] : [];
    case 'csrf':
      return exchange.identityFromCookie ? [decision === undefined ? 'the origin is trusted' : reasonOf(decision)] : [];
    case 'authorize':
      return rule === null
        ? ['no rule, and what no rule allows is refused']
        : explainDecision(access, rule, identity, exchange);
    case 'validate-body':
      if (rule === null || access.rules[rule.index]?.body === undefined) return ['the rule demands nothing of bodies'];
      if (decision?.kind !== 'deny') return ['the body is as the rule demands'];
      return (
        decision.violations?.map(({ pointer, message }) => `${pointer || 'body'}: ${message}`) ?? [decision.reason]
      );
    default:
      return decision === undefined ? [] : [reasonOf(decision)];
  }
}

/** The verdict on a body that is not there to look at: what it would have to be. */
export function unseenBody({ contentTypes, maxBytes, schema, rules }: BodyConfig, shadow: boolean): LayerVerdict {
  const demands = [
    contentTypes.join(' or '),
    `at most ${maxBytes} bytes`,
    ...(schema === null ? [] : ['as its schema says']),
    ...(rules.length === 0 ? [] : [`as ${rules.length} rules say`]),
  ];
  return { layer: 'validate-body', decision: 'pass', shadow, details: [`a body must be ${demands.join(', ')}`] };
}

function reasonOf(decision: NonNullable<Decision>): string {
  return decision.kind === 'deny' ? decision.reason : `answered here with ${decision.status}`;
}

function limitText({ plan, key }: Demand): string {
  const { name, algorithm, limit, windowMs, burst } = plan;
  const bucket = algorithm === 'TokenBucket' ? `, burst ${burst}` : '';
  return `limit "${name}": ${limit} in ${windowMs / 1_000} s (${algorithm}${bucket}), counted as ${key}`;
}
