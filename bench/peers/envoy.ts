import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../lab.ts';
import { PROXY_CORE } from '../proc-readings.ts';
import { AUDIENCE, ISSUER, type TokenSet } from '../tokens.ts';
import type { Peer } from './peer.ts';

const FILTERS = 'envoy.extensions.filters';
const MANY = 100_000_000;

/** Envoy with jwt_authn and its cache of verified tokens, RBAC, a local rate limit a user and a file access log. */
export function envoy(binary: string, tokens: TokenSet): Peer {
  return {
    name: `Envoy ${tokens.algorithm}, with its token cache, access log`,
    tokens,
    launch: async (lab, upstreamPort) => {
      const port = await freePort();
      const file = join(lab.scratch, `envoy-${port}.json`);
      const logFile = join(lab.scratch, `envoy-${port}.log`);
      writeFileSync(file, JSON.stringify(configuration(tokens, port, upstreamPort, logFile)));
      const args = ['-c', file, '--concurrency', '1', '-l', 'error', '--disable-hot-restart'];
      const child = lab.children.start('envoy', PROXY_CORE, binary, args);
      return { child, port, ready: { port, path: '/orders', token: tokens.good }, logFile };
    },
  };
}

function configuration(tokens: TokenSet, port: number, upstreamPort: number, logFile: string): object {
  const address = (port_value: number) => ({ socket_address: { address: '127.0.0.1', port_value } });
  const connectionManager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'in',
    http_filters: [jwt(tokens), rbac(), rateLimit(), { name: 'router', ...typed(`${FILTERS}.http.router.v3.Router`) }],
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'application' } }] },
      ],
    },
    access_log: [
      { name: 'file', ...typed('envoy.extensions.access_loggers.file.v3.FileAccessLog', { path: logFile }) },
    ],
  });
  return {
    static_resources: {
      listeners: [{ address: address(port), filter_chains: [{ filters: [{ name: 'http', ...connectionManager }] }] }],
      clusters: [
        {
          name: 'application',
          type: 'STATIC',
          connect_timeout: '5s',
          circuit_breakers: {
            thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }],
          },
          load_assignment: {
            cluster_name: 'application',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstreamPort) } }] }],
          },
        },
      ],
    },
  };
}

function jwt(tokens: TokenSet): object {
  return {
    name: 'envoy.filters.http.jwt_authn',
    ...typed(`${FILTERS}.http.jwt_authn.v3.JwtAuthentication`, {
      providers: {
        issuer: {
          issuer: ISSUER,
          audiences: [AUDIENCE],
          local_jwks: { filename: tokens.jwksFile },
          forward: true,
          payload_in_metadata: 'claims',
          jwt_cache_config: { jwt_cache_size: 4096 },
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'issuer' } }],
    }),
  };
}

function rbac(): object {
  const role = (exact: string) => ({
    metadata: {
      filter: 'envoy.filters.http.jwt_authn',
      path: [{ key: 'claims' }, { key: 'role' }],
      value: { string_match: { exact } },
    },
  });
  const orders = {
    permissions: [
      {
        and_rules: {
          rules: [
            { url_path: { path: { prefix: '/orders' } } },
            { header: { name: ':method', string_match: { exact: 'GET' } } },
          ],
        },
      },
    ],
    principals: [{ or_ids: { ids: [role('trader'), role('admin')] } }],
  };
  return {
    name: 'rbac',
    ...typed(`${FILTERS}.http.rbac.v3.RBAC`, { rules: { action: 'ALLOW', policies: { orders } } }),
  };
}

function rateLimit(): object {
  const bucket = { max_tokens: MANY, tokens_per_fill: MANY, fill_interval: '60s' };
  const always = { default_value: { numerator: 100, denominator: 'HUNDRED' } };
  const user = {
    descriptor_key: 'user',
    source: 'DYNAMIC',
    metadata_key: { key: 'envoy.filters.http.jwt_authn', path: [{ key: 'claims' }, { key: 'sub' }] },
  };
  return {
    name: 'local_ratelimit',
    ...typed(`${FILTERS}.http.local_ratelimit.v3.LocalRateLimit`, {
      stat_prefix: 'limit',
      token_bucket: bucket,
      filter_enabled: always,
      filter_enforced: always,
      rate_limits: [{ actions: [{ metadata: user }] }],
      descriptors: [{ entries: [{ key: 'user' }], token_bucket: bucket }],
      max_dynamic_descriptors: 10_000,
    }),
  };
}

function typed(type: string, fields: object = {}): object {
  return { typed_config: { '@type': `type.googleapis.com/${type}`, ...fields } };
}
