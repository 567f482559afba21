import type { IncomingMessage } from 'node:http';
import type { Registry } from 'prom-client';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { addressKey } from '../../policy/evaluate/address-key.ts';
import { normalizeHost } from '../../policy/evaluate/normalize-host.ts';
import { answerFrom, type CacheableDocument, cacheableDocument } from '../../policy/jwks/cacheable-document.ts';
import type { PublicJwkSet } from '../../policy/jwks/public-jwk-set.ts';
import type { ReferenceSources } from '../bundles/gather-references.ts';
import { memoised } from '../bundles/memoised.ts';
import { type PlainAnswer, PlainHttpServer } from '../plain-http-server.ts';
import { JwksMetrics, type JwksRequestKind } from './jwks-metrics.ts';
import { type JwksProblem, problemAnswer } from './jwks-problem.ts';
import { issuerUrl, type ServedKeySet, ServedKeySets } from './served-key-sets.ts';

/** What the JWKS port serves from: caches that are complete, and nothing else. */
export interface JwksServerParts {
  readonly sources: Pick<ReferenceSources, 'keySets' | 'ownSecrets' | 'namespace'>;
  /** Where the world reaches this port, an http or https URL without a slash at the end; null: at the origin of each issuer. */
  readonly externalUrl: string | null;
  readonly registry: Registry;
  /** From 0 to below 1. */
  readonly random: () => number;
}

const DISCOVERY = '/.well-known/openid-configuration';
/** Taken literally: what would have to be decoded or resolved names nothing. */
const BY_NAME = /^\/jwks\/([a-z0-9-]{1,63})\/([a-z0-9.-]{1,253})(\/\.well-known\/openid-configuration)?$/;
/** A load balancer brings many clients from one address. */
const MAX_CONNECTIONS_PER_ADDRESS = 128;
/** A few percent of a core: this process also rotates keys. A fixed window is exact enough for it. */
const MAX_REQUESTS = { points: 500, duration: 1 };

/**
 * The public keys for verifiers outside the cluster: `/jwks/{namespace}/{name}` (RFC 7517 §5) and OpenID Connect Discovery 1.0 §4, below
 * that path and below the URL of each issuer. That a key set exists is no secret here. Nothing of an answer comes from the request.
 */
export class JwksServer extends PlainHttpServer {
  constructor({ sources, externalUrl, registry, random }: JwksServerParts) {
    const keySets = new ServedKeySets(sources);
    const metrics = new JwksMetrics(registry);
    const limiter = new RateLimiterMemory(MAX_REQUESTS);

    const find = (path: string, host: string): readonly [JwksRequestKind, ServedKeySet | JwksProblem] => {
      const [, namespace, name, discovery] = BY_NAME.exec(path) ?? [];
      if (namespace !== undefined && name !== undefined)
        return [discovery === undefined ? 'jwks' : 'discovery', keySets.find(namespace, name)];
      if (!path.endsWith(DISCOVERY)) return ['other', 'not_found'];
      const at = normalizeHost(host);
      return ['discovery', at === null ? 'not_found' : keySets.findByIssuer(at, path.slice(0, -DISCOVERY.length))];
    };

    const answer = ({ method, headers }: IncomingMessage, kind: JwksRequestKind, found: ServedKeySet | JwksProblem) => {
      if (method !== 'GET' && method !== 'HEAD') return problemAnswer('method_not_allowed');
      if (typeof found === 'string') return problemAnswer(found);
      const document = kind === 'jwks' ? jwksDocument(found.jwks) : discoveryDocument(found, externalUrl);
      if (document === null) return problemAnswer('issuer_not_url');
      const { headers: flat, ...rest } = answerFrom(document, found.maxAgeMs, headers['if-none-match'], random());
      return { ...rest, headers: namedHeaders(flat) };
    };

    super(async (request): Promise<PlainAnswer> => {
      const [path = ''] = (request.url ?? '').split('?', 1);
      const [kind, found] = find(path, request.headers.host ?? '');
      const isAdmitted = await limiter.consume(addressKey(request.socket.remoteAddress ?? '')).then(
        () => true,
        () => false,
      );
      const answered = isAdmitted ? answer(request, kind, found) : problemAnswer('too_many_requests');
      metrics.answered(kind, answered.status);
      return answered;
    }, MAX_CONNECTIONS_PER_ADDRESS);
  }
}

const jwksDocument = memoised((jwks: PublicJwkSet) => cacheableDocument('application/jwk-set+json', jwks));

/** Null: the issuer is no URL, and nobody said where else the keys are. */
function discoveryDocument(
  { namespace, name, issuer, jwks }: ServedKeySet,
  externalUrl: string | null,
): CacheableDocument | null {
  const base = externalUrl ?? issuerUrl(issuer)?.origin;
  if (base === undefined) return null;
  return cacheableDocument('application/json', {
    issuer,
    jwks_uri: `${base}/jwks/${namespace}/${name}`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...new Set(jwks.keys.map(({ alg }) => alg))],
  });
}

function namedHeaders(flat: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) headers[flat[i]!] = flat[i + 1]!;
  return headers;
}
