import Type from 'typebox';
import { duration } from './common-fields.ts';
import { durationBounds } from './duration-bounds.ts';

/** `circuitBreaker` of a RateLimitPolicy. */
export const circuitBreaker = Type.Object(
  {
    failureRatio: Type.Number({
      minimum: 0.01,
      maximum: 1,
      default: 0.5,
      description: 'Opens when at least this part of the requests within the window failed.',
    }),
    minimumRequests: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 20,
      description: 'And at least so many were made within the window.',
    }),
    window: duration({
      description: 'How far back requests count.',
      default: '10s',
      rules: [durationBounds('1s', '10m')],
    }),
    openFor: duration({
      description: 'How long requests are then answered 503 without asking the app.',
      default: '30s',
      rules: [durationBounds('1s', '1h')],
    }),
    halfOpenRequests: Type.Integer({
      minimum: 1,
      maximum: 1_000,
      default: 3,
      description:
        'Requests that are then let through as a trial: when all succeed it closes, at a failure it opens again.',
    }),
  },
  {
    description:
      'When a pod stops asking an app that fails: 502, 503 and 504 of its own, no connection, one that is closed before the answer, no answer in time. Each port of a pod by itself.',
    defaultText: 'no circuit breaker',
  },
);
