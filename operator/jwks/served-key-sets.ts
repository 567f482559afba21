import { parseDuration } from '../../policy/api/duration.ts';
import { outputsSecretName } from '../../policy/api/names.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { unrevoked } from '../../policy/compile/compile-authentication.ts';
import { normalizeHost } from '../../policy/evaluate/normalize-host.ts';
import { type PublicJwkSet, publicJwkSet } from '../../policy/jwks/public-jwk-set.ts';
import { isSymmetric } from '../../policy/keys/algorithms.ts';
import { outputsIn, type ReferenceSources, resourceIn } from '../bundles/gather-references.ts';
import { memoised } from '../bundles/memoised.ts';
import type { JwksProblem } from './jwks-problem.ts';

/** A key set whose public keys may be fetched. */
export interface ServedKeySet {
  readonly namespace: string;
  readonly name: string;
  /** The `iss` of its tokens; not always a URL. */
  readonly issuer: string;
  /** C: how long a verifier may cache the JWKS. */
  readonly maxAgeMs: number;
  readonly jwks: PublicJwkSet;
}

/** The public keys of all key sets, as the caches hold them: those that verifiers inside the cluster get too. */
export class ServedKeySets {
  readonly #sources: Pick<ReferenceSources, 'keySets' | 'ownSecrets' | 'namespace'>;
  /** Asymmetric key sets by host and path of their issuer; null: to be made anew. */
  #byIssuer: ReadonlyMap<string, readonly SigningKeySet[]> | null = null;

  constructor(sources: Pick<ReferenceSources, 'keySets' | 'ownSecrets' | 'namespace'>) {
    this.#sources = sources;
    sources.keySets.onChange(() => {
      this.#byIssuer = null;
    });
  }

  /** The key set of that name, or why it cannot be served. */
  find(namespace: string, name: string): ServedKeySet | JwksProblem {
    const object = this.#sources.keySets.get({ namespace, name });
    const resource = object && resourceIn(object);
    return resource?.kind === 'SigningKeySet' ? this.#serve(resource) : 'not_found';
  }

  /** The one key set whose issuer is a URL of that host (as `normalizeHost` returns it) and path, without a slash at the end. */
  findByIssuer(host: string, path: string): ServedKeySet | JwksProblem {
    this.#byIssuer ??= Map.groupBy(this.#asymmetric(), ({ spec }) => issuerKey(spec.issuer ?? ''));
    const [found, ...others] = this.#byIssuer.get(host + path) ?? [];
    if (found === undefined) return 'not_found';
    return others.length > 0 ? 'issuer_ambiguous' : this.#serve(found);
  }

  #serve(resource: SigningKeySet): ServedKeySet | JwksProblem {
    const { metadata, spec } = resource;
    const { namespace, name } = metadata;
    const secret = this.#sources.ownSecrets.get({
      namespace: this.#sources.namespace,
      name: outputsSecretName(namespace, name),
    });
    const keys = secret && outputsIn(secret)?.verificationKeys;
    const jwks = keys === undefined ? null : jwksOf(unrevoked(resource, keys));
    // A set that changes its algorithm has public keys as long as one of them may be asked for.
    if (jwks === null) return isSymmetric(spec.algorithm) ? 'symmetric_key_set' : 'not_published';
    return { namespace, name, issuer: spec.issuer ?? '', maxAgeMs: parseDuration(spec.jwksMaxAge) ?? 0, jwks };
  }

  *#asymmetric(): Iterable<SigningKeySet> {
    for (const object of this.#sources.keySets.all()) {
      const resource = resourceIn(object);
      if (resource?.kind === 'SigningKeySet' && !isSymmetric(resource.spec.algorithm)) yield resource;
    }
  }
}

/** The issuer as the URL below which OpenID Connect Discovery 1.0 §4 looks; null: it is none. */
export function issuerUrl(issuer: string): URL | null {
  const url = URL.parse(issuer);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return null;
  return `${url.username}${url.password}${url.search}${url.hash}` === '' ? url : null;
}

/** The empty text, which no request asks for, when the issuer is no URL. */
function issuerKey(issuer: string): string {
  const url = issuerUrl(issuer);
  const host = url && normalizeHost(url.host);
  return url === null || host === null ? '' : host + url.pathname.replace(/\/$/, '');
}

const jwksOf = memoised(publicJwkSet);
