/** A server, a sentinel or a node of a cluster. */
export interface RedisEndpoint {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where a store is, as its URL says. */
export interface RedisTarget {
  readonly topology: 'Standalone' | 'Sentinel' | 'Cluster';
  readonly tls: boolean;
  /** The server; the sentinels; or some nodes of the cluster, which name the others. Never empty. */
  readonly endpoints: readonly RedisEndpoint[];
  /** Empty: none is given; without a username it is the user `default`. */
  readonly username: string;
  readonly password: string;
  /** What the sentinels call the primary; else empty. */
  readonly primaryName: string;
  readonly database: number;
}

/** What to write where `parseRedisUrl` takes nothing of it. */
export const REDIS_URL_FORMS =
  'redis://HOST:6379 (rediss:// for TLS), redis+sentinel://HOST:26379,HOST:26379/PRIMARY-NAME, or redis+cluster://HOST:6379,HOST:6379';

const URL_PATTERN =
  /^(redis|rediss)(\+sentinel|\+cluster)?:\/\/(?:([^/?#@:]*)(?::([^/?#@]*))?@)?([^/?#@\s]+)((?:\/[^/?#\s]*){0,2})$/;
const ENDPOINT_PATTERN = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{1,5}))?$/;
const MAX_ENDPOINTS = 32;

/**
 * Reads the URL of a store; null: it is none. `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`; with `+sentinel` several hosts and a
 * path that names the primary, then perhaps the database; with `+cluster` several hosts. `rediss` is TLS to whatever is dialled. User and
 * password are percent-encoded.
 */
export function parseRedisUrl(text: string): RedisTarget | null {
  const found = URL_PATTERN.exec(text);
  if (found === null) return null;
  const [, scheme, kind, user = '', secret = '', hosts = '', path = ''] = found;
  const topology = kind === '+sentinel' ? 'Sentinel' : kind === '+cluster' ? 'Cluster' : 'Standalone';
  const defaultPort = topology === 'Sentinel' ? 26_379 : 6379;
  const endpoints = hosts.split(',').map((host) => parseEndpoint(host, defaultPort));
  if (!endpoints.every((endpoint) => endpoint !== null) || endpoints.length > MAX_ENDPOINTS) return null;
  if (topology === 'Standalone' && endpoints.length > 1) return null;
  const segments = path.split('/').slice(1);
  const primaryName = topology === 'Sentinel' ? decoded(segments.shift() ?? '') : '';
  const database = segments.shift() ?? '';
  if (segments.length > 0 || !/^[0-9]{0,4}$/.test(database)) return null;
  if (topology === 'Sentinel' ? !primaryName : topology === 'Cluster' && database !== '') return null;
  const username = decoded(user);
  const password = decoded(secret);
  if (primaryName === null || username === null || password === null) return null;
  return { topology, tls: scheme === 'rediss', endpoints, username, password, primaryName, database: Number(database) };
}

function parseEndpoint(text: string, defaultPort: number): RedisEndpoint | null {
  const found = ENDPOINT_PATTERN.exec(text);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3] ?? defaultPort);
  return host === undefined || port < 1 || port > 65_535 ? null : { host, port };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
