import type { AccessPolicy } from '../api/access-policy.ts';
import { schemeOf } from '../api/authentication.ts';
import type { Path } from '../api/problem.ts';
import { SIGNATURE_HEADERS } from '../credentials/canonical-request.ts';
import type { Findings } from './finding.ts';

/** A header that something is read from. */
interface Reader {
  readonly path: Path;
  /** As it was written. */
  readonly header: string;
  readonly reads: string;
  /** Readers of the same kind share a header: issuers of tokens with one scheme. */
  readonly kind: string;
}

/** For one hop alone, or for proxies to set: what a client sends under these names is not there when a policy looks. */
const NEVER_THERE =
  /^(host|connection|keep-alive|upgrade|te|trailer|transfer-encoding|content-length|expect|forwarded|proxy-.*|x-request-id|x-real-ip|x-client-ip|x-original-.*|x-rewrite-url|x-forwarded-.*|x-envoy-.*|x-portcullis-.*)$/;
const SIGNATURE = new Set<string>(Object.values(SIGNATURE_HEADERS));

/** Reports headers that two authenticators would read, each in its own way: whose credential stands there must be clear. */
export function checkCredentialPlaces({ authentication }: AccessPolicy['spec'], findings: Findings): void {
  const { jwt, apiKeys, signedRequests } = authentication;
  const at: Path = ['spec', 'authentication'];
  const readers: Reader[] = [];
  for (const [index, { from }] of jwt.entries()) {
    for (const [place, source] of from.entries()) {
      if (source.header === undefined) continue;
      const scheme = schemeOf(source);
      // Words before the token keep schemes apart; without one the whole value is the token.
      const reads = scheme === '' ? 'the whole of it is a token' : `a token after ${scheme}`;
      const kind = `jwt ${scheme === ''}`;
      readers.push({ path: [...at, 'jwt', index, 'from', place, 'header'], header: source.header, reads, kind });
    }
  }
  for (const [index, { header, name }] of apiKeys.entries()) {
    const path = [...at, 'apiKeys', index, 'header'];
    readers.push({ path, header, reads: `a key of apiKeys "${name}"`, kind: `key ${index}` });
  }
  const first = new Map<string, Reader>();
  for (const reader of readers) {
    const name = reader.header.toLowerCase();
    const known = first.get(name);
    if (name === 'cookie') {
      findings.error(
        reader.path,
        'cookies have several names in one header; write from: [{cookie: NAME}] of an issuer',
      );
    } else if (NEVER_THERE.test(name.replaceAll('_', '-'))) {
      findings.error(
        reader.path,
        `${reader.header} of a client never gets here (docs/security.md); name another header`,
      );
    } else if (signedRequests.length > 0 && SIGNATURE.has(name)) {
      findings.error(reader.path, `signedRequests reads ${reader.header}; name another header`);
    } else if (known !== undefined && known.kind !== reader.kind) {
      findings.error(reader.path, `is read already: ${known.reads}; name another header, which nothing else reads`);
    }
    if (known === undefined) first.set(name, reader);
  }
}
