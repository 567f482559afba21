import type { ExplainRequest } from '../../sidecar/explain/explanation.ts';

/** Reads `METHOD PATH`, the path with a query if there is one; null when it is something else. */
export function parseRequestLine(text: string): Pick<ExplainRequest, 'method' | 'target'> | null {
  const [, method, target] = /^([A-Za-z-]+) +(\S+)$/.exec(text.trim()) ?? [];
  return method === undefined || target === undefined ? null : { method: method.toUpperCase(), target };
}
