import type { AccessPolicy } from '../api/access-policy.ts';
import { parseByteSize } from '../api/byte-size.ts';
import { parseDuration } from '../api/duration.ts';
import type { SignedRequestAuthenticator, SignedRequestClient } from '../bundle/authentication.ts';
import { weaknessOfSecret } from '../keys/weak-secrets.ts';
import type { Findings } from './finding.ts';
import type { References } from './references.ts';
import { type CredentialEntry, readCredentialFile, subjectOf } from './secret-entries.ts';

const MIN_SECRET_BYTES = 32;
const MAX_SECRET_BYTES = 512;
const MAX_BODY_BYTES = 1024 ** 2;
const CLIENT_ID = /^[A-Za-z0-9_.-]{1,64}$/;
const EXAMPLE = '- {id: bot-1, secrets: ["…"], roles: [trader]}, each secret by `openssl rand -base64 32`';

/** What has been seen in a policy, each of which may stand there once. */
interface Seen {
  readonly ids: Set<string>;
  readonly secrets: Set<string>;
}

/** Resolves the clients that sign their requests; an id or a secret that stands in two places is refused. */
export function compileSignedRequests(
  { metadata, spec }: AccessPolicy,
  references: References,
  findings: Findings,
): readonly SignedRequestAuthenticator[] {
  const seen: Seen = { ids: new Set(), secrets: new Set() };
  const roles = spec.roles.map(({ name }) => name);
  return spec.authentication.signedRequests.map((list, index) => {
    const path = ['spec', 'authentication', 'signedRequests', index];
    const at = [...path, 'secretRef', 'name'];
    const maxBytes = parseByteSize(list.maxBytes) ?? 0;
    if (maxBytes > MAX_BODY_BYTES) findings.error([...path, 'maxBytes'], 'must be at most 1Mi: bodies are held whole');
    const entries = readCredentialFile(
      {
        secret: list.secretRef.name,
        file: 'clients.yaml',
        at,
        members: ['id', 'secrets'],
        label: 'id',
        example: EXAMPLE,
      },
      metadata.namespace,
      references,
      findings,
    );
    const warn = (problem: string): void =>
      findings.warn(at, `gives a client a role that the policy has not: ${problem}`);
    return {
      name: list.name,
      secret: `${metadata.namespace}/${list.secretRef.name}`,
      toleranceMs: parseDuration(list.tolerance) ?? 0,
      maxBytes,
      onStoreFailure: list.onStoreFailure,
      clients: entries.flatMap((entry) => clientOf(entry, seen, roles, warn) ?? []),
    };
  });
}

function clientOf(
  entry: CredentialEntry,
  seen: Seen,
  roles: readonly string[],
  warn: (problem: string) => void,
): SignedRequestClient | null {
  const { value, refuse } = entry;
  const { id, secrets, subject = id } = value;
  if (typeof id !== 'string' || !CLIENT_ID.test(id)) {
    refuse('id must be 1 to 64 letters, digits, dots, - and _, such as bot-1');
    return null;
  }
  if (seen.ids.has(id)) refuse('this id stands in the policy already; give each client its own');
  else seen.ids.add(id);
  const whom = subjectOf(entry, subject, roles, warn);
  if (!Array.isArray(secrets) || secrets.length < 1 || secrets.length > 2) {
    refuse('secrets must be a list of one secret, or two while the client changes over');
    return null;
  }
  const wrong = secrets.map((secret: unknown, index) => {
    const problem = secretProblem(secret, seen);
    if (problem !== null) refuse(`secrets[${index}] ${problem}; make one with: openssl rand -base64 32`);
    return problem !== null;
  });
  return whom === null || wrong.includes(true) ? null : { id, secrets, ...whom };
}

function secretProblem(secret: unknown, { secrets }: Seen): string | null {
  const bytes = Buffer.from(typeof secret === 'string' ? secret : '', 'base64');
  if (typeof secret !== 'string' || bytes.toString('base64') !== secret) return 'must be base64 (RFC 4648 §4), padded';
  if (bytes.length < MIN_SECRET_BYTES || bytes.length > MAX_SECRET_BYTES) {
    return `must have ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes, not ${bytes.length}`;
  }
  const weakness = weaknessOfSecret(bytes);
  if (weakness !== null) return `can be guessed: it ${weakness}`;
  if (secrets.has(secret)) return 'stands in the policy already';
  secrets.add(secret);
  return null;
}
