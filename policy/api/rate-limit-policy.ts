import Type, { type Static } from 'typebox';
import { circuitBreaker } from './circuit-breaker.ts';
import { clientIP, duration, mode, positiveDuration, store } from './common-fields.ts';
import { connections } from './connections.ts';
import { egress } from './egress.ts';
import { limits, tierRules, tiers } from './limits.ts';
import { penalties } from './penalties.ts';
import { columns, commonStatus, type ResourceDefinition, type ResourceOf } from './resource.ts';
import { threats } from './threats.ts';

const fields = {
  mode,
  store: Type.Optional(store),
  clientIP: Type.Optional(clientIP),
  tiers,
  limits,
  penalties: Type.Optional(penalties),
  threats: Type.Optional(threats),
  egress,
  connections: Type.Optional(connections),
  circuitBreaker: Type.Optional(circuitBreaker),
  timeouts: Type.Object(
    {
      connect: duration({
        description: 'Longest wait for a connection to the app.',
        default: '1s',
        rules: [positiveDuration],
      }),
      request: duration({
        description: "Longest wait for the head of the app's answer.",
        default: '30s',
        rules: [positiveDuration],
      }),
      idle: duration({
        description: 'Longest silence while the body of a request or of an answer is under way.',
        default: '60s',
        rules: [positiveDuration],
      }),
    },
    { description: 'Time-outs towards the app.', default: {} },
  ),
};

const spec = Type.Object(fields, {
  description: 'What the policy limits.',
  rules: tierRules,
});
const status = Type.Object(commonStatus, { description: 'What the operator observed.' });

/** How many requests a subject may make. Defaults are filled in. */
export type RateLimitPolicy = ResourceOf<'RateLimitPolicy', Static<typeof spec>, Static<typeof status>>;

/** RateLimitPolicy as crds/, docs/reference.md and the decoder see it. */
export const rateLimitPolicy: ResourceDefinition = {
  kind: 'RateLimitPolicy',
  plural: 'ratelimitpolicies',
  singular: 'ratelimitpolicy',
  shortName: 'prl',
  description: 'How many requests a client may make, and how long they may take.',
  spec,
  status,
  printerColumns: [columns.condition('Ready'), columns.condition('Enforced'), columns.mode, columns.pods, columns.age],
};
