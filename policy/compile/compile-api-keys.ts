import type { AccessPolicy } from '../api/access-policy.ts';
import type { ApiKeyAuthenticator, ApiKeyEntry } from '../bundle/authentication.ts';
import type { Findings } from './finding.ts';
import type { References } from './references.ts';
import { type CredentialEntry, readCredentialFile, subjectOf } from './secret-entries.ts';

const EXAMPLE = '- {sha256: "…", subject: ann, roles: [trader]}, as `portcullis api-key generate` prints it';
const SHA256 = /^[0-9a-f]{64}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d)$/;

/** Resolves the lists of API keys; a key that stands in two places is refused. */
export function compileApiKeys(
  { metadata, spec }: AccessPolicy,
  references: References,
  findings: Findings,
): readonly ApiKeyAuthenticator[] {
  const seen = new Set<string>();
  const roles = spec.roles.map(({ name }) => name);
  return spec.authentication.apiKeys.map(({ name, secretRef, header }, index) => {
    const at = ['spec', 'authentication', 'apiKeys', index, 'secretRef', 'name'];
    const warned = new Set<string>();
    const warn = (problem: string): void => {
      if (!warned.has(problem)) findings.warn(at, `gives keys a role that the policy has not: ${problem}`);
      warned.add(problem);
    };
    const entries = readCredentialFile(
      {
        secret: secretRef.name,
        file: 'keys.yaml',
        at,
        members: ['sha256', 'expires'],
        label: 'subject',
        example: EXAMPLE,
      },
      metadata.namespace,
      references,
      findings,
    );
    return {
      name,
      header: header.toLowerCase(),
      keys: entries.flatMap((entry) => keyOf(entry, seen, roles, warn) ?? []),
    };
  });
}

function keyOf(
  entry: CredentialEntry,
  seen: Set<string>,
  roles: readonly string[],
  warn: (problem: string) => void,
): ApiKeyEntry | null {
  const { value, refuse } = entry;
  const sha256 = typeof value['sha256'] === 'string' ? value['sha256'].toLowerCase() : '';
  const expires = value['expires'] ?? null;
  const expiresAt = expires === null ? null : instantOf(expires);
  const subject = subjectOf(entry, value['subject'], roles, warn);
  if (!SHA256.test(sha256)) refuse('sha256 must be 64 hex digits, in quotes: the hash of the key, never the key');
  else if (seen.has(sha256)) refuse('this key stands in the policy already; give each its own, or remove one');
  else if (Number.isNaN(expiresAt)) refuse('expires must be an instant such as 2027-01-01T00:00:00Z (RFC 3339)');
  else if (subject !== null) {
    seen.add(sha256);
    return { sha256, ...subject, expiresAt };
  }
  return null;
}

/** Epoch milliseconds; NaN: it is no instant. */
function instantOf(value: unknown): number {
  return typeof value === 'string' && INSTANT.test(value) ? Math.max(0, Date.parse(value)) : Number.NaN;
}
