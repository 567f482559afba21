import { PortcullisError } from '../policy/errors.ts';

/**
 * Whether an error's message is for people and not a fault of ours: a PortcullisError, or the API server's. That one by its
 * name: its class is loaded only where a cluster is talked to.
 */
export function isExpected(error: unknown): error is Error {
  return error instanceof PortcullisError || (error instanceof Error && error.name === 'KubeError');
}
