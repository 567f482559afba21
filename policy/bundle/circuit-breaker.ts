import { type Check, count, object, refuse } from './check.ts';

/** When a pod stops asking its application for a while. Durations in milliseconds. */
export interface CircuitBreakerConfig {
  /** Opens at this part of failed requests: above 0, at most 1. */
  readonly failureRatio: number;
  /** Fewer in the window say nothing. */
  readonly minimumRequests: number;
  readonly windowMs: number;
  readonly openForMs: number;
  /** Requests that are let through to see whether the application is well again. */
  readonly halfOpenRequests: number;
}

const ratio: Check<number> = (value, place) => {
  if (typeof value !== 'number' || !(value > 0 && value <= 1)) refuse(place, 'a number above 0 and at most 1');
  return value;
};

/** Checks `circuitBreaker` of a limits bundle, member for member. */
export const circuitBreakerShape = object<CircuitBreakerConfig>({
  failureRatio: ratio,
  minimumRequests: count(1),
  windowMs: count(1),
  openForMs: count(1),
  halfOpenRequests: count(1),
});
