import type { Filter } from '../pipeline/filter.ts';

/** Adds the policy's security headers to every answer, denials included; the application's own of the same name are dropped. */
export function securityHeaders(headers: readonly (readonly [string, string])[]): Filter {
  const flat = headers.flat();
  return {
    name: 'security-headers',
    onResponse: (_exchange, answer) => {
      for (const part of flat) answer.push(part);
    },
  };
}
