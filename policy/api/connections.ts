import Type from 'typebox';
import { DEFAULT_CONNECTIONS } from '../bundle/connections.ts';
import { BYTE_SIZE_PATTERN } from './byte-size.ts';
import { duration } from './common-fields.ts';
import { durationBounds } from './duration-bounds.ts';
import { type ObjectOf, text } from './field.ts';
import { matches, rule } from './rule.ts';

const fields = {
  websocketPerUser: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100_000,
      description:
        'Open WebSockets of one user (of one address where there is no user), over all pods that share the store. More are answered 429.',
      defaultText: 'no limit',
    }),
  ),
  messagesPerSecond: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100_000,
      description:
        'Messages that a client may send on one WebSocket: never more than this number + this number x seconds. Too many close it with 1008.',
      defaultText: 'no limit',
    }),
  ),
  maxMessageBytes: Type.Optional(
    text({
      description:
        'Largest message that a client may send on a WebSocket, its fragments together, compressed ones as sent. A larger one closes it with 1009.',
      defaultText: 'no limit',
      maxLength: 12,
      rules: [matches(BYTE_SIZE_PATTERN, 'write a size such as 512, 64Ki or 1Mi')],
    }),
  ),
  idleTimeout: Type.Optional(
    duration({
      description: 'Longest time in which neither side sends anything on a WebSocket; then it is closed with 1001.',
      defaultText: 'no limit',
      rules: [durationBounds('1s', '24h')],
    }),
  ),
  perPod: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: DEFAULT_CONNECTIONS.perPod,
    description:
      'Client connections that a pod holds, over all its ports. At the cap, connections that wait for their client make room, those of the address with the most first.',
  }),
  perAddress: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: DEFAULT_CONNECTIONS.perAddress,
    description:
      'Client connections that a pod holds from one address (IPv6: one /64). Those that clientIP trusts as proxies are not counted.',
  }),
};

type Connections = ObjectOf<typeof fields>;

/** `connections` of a RateLimitPolicy. */
export const connections = Type.Object(fields, {
  description: 'What connections and WebSockets may take.',
  defaultText: `perPod ${DEFAULT_CONNECTIONS.perPod}, perAddress ${DEFAULT_CONNECTIONS.perAddress}, WebSockets without limits`,
  rules: [
    rule<Connections>(
      'self.perAddress <= self.perPod',
      `perAddress must not be above perPod; lower it (its default is ${DEFAULT_CONNECTIONS.perAddress}), or raise perPod`,
      ({ perAddress, perPod }) => perAddress <= perPod,
    ),
  ],
});
