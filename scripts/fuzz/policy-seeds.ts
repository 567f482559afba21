import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { isObject } from '../../policy/api/check-field.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import type { Resource } from '../../policy/api/kinds.ts';
import type { ReferencedSecret, References } from '../../policy/compile/references.ts';

/** Documents that decode, from the examples and the fixtures of the tests. */
export const policyDocuments: readonly Record<string, unknown>[] = globSync(
  '{examples,test/fixtures/resources/good}/**/*.yaml',
  {
    cwd: join(import.meta.dirname, '../..'),
  },
)
  .sort()
  .flatMap((file) => parseAllDocuments(readFileSync(join(import.meta.dirname, '../..', file), 'utf8')))
  .map((document): unknown => document.toJS())
  .filter((value): value is Record<string, unknown> => isObject(value) && 'resource' in decodeResource(value));

const resources: readonly Resource[] = policyDocuments.flatMap((value) => {
  const decoded = decodeResource(value);
  return 'resource' in decoded ? decoded.resource : [];
});

/** A Secret of every name that some document refers to, with what they usually hold. */
function secretOf(name: string, namespace: string): ReferencedSecret {
  const data = {
    ...{ url: 'redis://redis.example:6379', 'ca.crt': 'none', value: 'secret', ciphertext: 'none' },
    'users.htpasswd': `ann:$2b$12$${'a'.repeat(53)}`,
    'keys.yaml': `- { sha256: ${'a'.repeat(64)}, subject: ann, roles: [trader] }`,
    'clients.yaml': `- { id: bot, secrets: [${'ab'.repeat(32)}], subject: bot }`,
  };
  return { namespace, name, labels: { 'portcullis.dev/allow-reference': 'true' }, data };
}

const SECRETS = [...JSON.stringify(policyDocuments).matchAll(/ecretRef":\{"name":"([^"]+)"/g)].map(([, name]) => name!);

/** What the documents refer to, there. */
export const policyReferences: References = {
  keySets: resources.flatMap((resource) =>
    resource.kind === 'SigningKeySet' ? { resource, outputs: { serial: 1, verificationKeys: [] } } : [],
  ),
  secrets: [...new Set(SECRETS)].flatMap((name) =>
    ['default', 'trading'].map((namespace) => secretOf(name, namespace)),
  ),
  namespaces: ['default', 'trading'].map((name) => ({ name, labels: { 'kubernetes.io/metadata.name': name } })),
  defaultStore: null,
  defaultClientIp: null,
  storeOverride: null,
};
