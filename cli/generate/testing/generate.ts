import assert from 'node:assert/strict';
import { parse } from 'yaml';
import type { AccessPolicy } from '../../../policy/api/access-policy.ts';
import { type Generated, type GenerateOptions, generatePolicy } from '../generate-policy.ts';
import { formatRemarks } from '../report.ts';

/** Options that let everything through. */
export const OPTIONS: GenerateOptions = {
  name: null,
  namespace: null,
  keySet: { name: 'trading' },
  permissions: 'scopes',
  basePath: null,
  bodies: false,
};

const schemes = {
  bearer: { type: 'http', scheme: 'bearer' },
  oauth: { type: 'oauth2', flows: {} },
  session: { type: 'apiKey', in: 'cookie', name: 'sid' },
  key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
};

/** A document with these members beside what every document has. */
export function documentOf(members: object): string {
  const info = { title: 'Trading API', version: '1' };
  return JSON.stringify({ openapi: '3.1.0', info, components: { securitySchemes: schemes }, ...members });
}

/** What becomes of such a document. */
export function generate(members: object, options: Partial<GenerateOptions> = {}): Generated {
  return generatePolicy(documentOf(members), { ...OPTIONS, ...options });
}

/** The policy that was printed, as it stands there. */
export function policyOf(generated: Generated): AccessPolicy {
  assert(generated.yaml !== null, said(generated));
  return parse(generated.yaml) as AccessPolicy;
}

/** Everything that was remarked, a line each; the file is called `f`. */
export function said({ remarks }: Generated): string {
  return formatRemarks(remarks, 'f').join('\n');
}
