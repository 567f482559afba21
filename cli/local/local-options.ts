import { join, resolve } from 'node:path';
import { isRedisUrl } from '../../policy/compile/compile-connection.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { CandidateNames, HostPort } from '../../runtime/sidecar-arguments.ts';
import type { CertificateFiles } from '../../sidecar/tls/certificate-source.ts';
import { parseFlags } from '../parse-flags.ts';

const MORE = 'see portcullis local --help';

const FLAGS = {
  policies: { type: 'string' },
  upstream: { type: 'string' },
  listen: { type: 'string', default: '127.0.0.1:8080' },
  admin: { type: 'string', default: '127.0.0.1:8081' },
  egress: { type: 'string', default: '127.0.0.1:14182' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  state: { type: 'string' },
  redis: { type: 'string' },
  control: { type: 'string' },
  'access-policy': { type: 'string' },
  'rate-limit-policy': { type: 'string' },
  'candidate-access-policy': { type: 'string' },
  'candidate-rate-limit-policy': { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** What `portcullis local --help` prints. */
export const LOCAL_HELP = `portcullis local --policies DIR --upstream URL [FLAGS]

Guards one application with the policies of a directory: makes and rotates the keys, and enforces what the policies say.
Changes to the directory take effect at once; while something in it is wrong the last good policies stay. Request logs
are JSON on standard output, everything for people is on standard error.

  --policies DIR            directory whose *.yaml and *.yml files hold the policies: SigningKeySet, AccessPolicy,
                            RateLimitPolicy, and the Secrets that they refer to
  --upstream URL            the application, http://HOST:PORT
  --listen HOST:PORT        where clients connect (default: 127.0.0.1:8080; port 0 takes a free one)
  --admin HOST:PORT         where /healthz, /readyz, /metrics and /status are (default: 127.0.0.1:8081)
  --egress HOST:PORT        where the application asks the brokers of the RateLimitPolicy's egress, on the loopback; listens only
                            where there are any (default: 127.0.0.1:14182)
  --tls-cert FILE           certificate chain (PEM) to speak TLS 1.3 with instead of plain HTTP; a new one is taken at once
  --tls-key FILE            its private key (PEM)
  --state DIR               keys and bundles (default: .portcullis beside the policy directory)
  --redis URL               count in this Redis, whatever store the policies name: redis://HOST:PORT or rediss://HOST:PORT
  --control PATH            answer portcullis blocks --control PATH on a unix socket there (default: nowhere)
  --access-policy NAME      the AccessPolicy, as NAME or NAMESPACE/NAME, when there are several
  --rate-limit-policy NAME  the RateLimitPolicy, likewise; without any, nothing is limited
  --candidate-access-policy NAME
                            an AccessPolicy that is only tried on every request: nothing of it is carried out
  --candidate-rate-limit-policy NAME
                            a RateLimitPolicy, likewise
  --help                    this text

SIGTERM and SIGINT let requests under way finish, for up to 10 s; a second one does not wait.
Exit code: 0, or 2 when it could not start; the reason is on standard error.
`;

/** What `portcullis local` was asked to do. */
export interface LocalOptions {
  /** As written. */
  readonly policies: string;
  readonly upstream: HostPort;
  readonly listen: HostPort;
  readonly admin: HostPort;
  /** On the loopback. Absent: nowhere. */
  readonly egress?: HostPort;
  /** Certificate and key to speak TLS with. Absent: plain HTTP. */
  readonly tls?: CertificateFiles;
  readonly state: string;
  readonly redisUrl: string | null;
  /** Path of the control socket; absent: none. */
  readonly control?: string;
  readonly accessPolicy: string | null;
  readonly rateLimitPolicy: string | null;
  /** Policies to try beside them. Absent: none. */
  readonly candidates?: CandidateNames;
}

/** Reads the flags; null when help was asked for. Throws config_invalid with everything that is wrong, one a line. */
export function parseLocalOptions(argv: readonly string[]): LocalOptions | null {
  const values = parseFlags(argv, FLAGS, MORE).values;
  if (values.help) return null;
  const problems: string[] = [];
  const checked = <T>(read: () => T): T | null => {
    try {
      return read();
    } catch (error) {
      problems.push((error as Error).message);
      return null;
    }
  };
  const { policies, upstream, redis } = values;
  if (policies === undefined) problems.push('--policies is required: the directory that holds the policies');
  if (upstream === undefined) problems.push('--upstream is required: the application, such as http://127.0.0.1:9000');
  const application = upstream === undefined ? null : checked(() => parseUpstream(upstream));
  const listen = checked(() => parseHostPort('--listen', values.listen));
  const admin = checked(() => parseHostPort('--admin', values.admin));
  const egress = checked(() => parseLoopback('--egress', values.egress));
  const tls = certificateFiles(values['tls-cert'], values['tls-key']);
  if (tls === null) problems.push('--tls-cert and --tls-key go together: write both, or neither');
  if (redis !== undefined && !isRedisUrl(redis)) {
    problems.push('--redis must be a URL such as redis://127.0.0.1:6379'); // not repeated: it may hold a password
  }
  if (
    policies === undefined ||
    application === null ||
    listen === null ||
    admin === null ||
    egress === null ||
    problems.length > 0
  ) {
    throw new PortcullisError('config_invalid', [...problems, MORE].join('\n'));
  }
  return {
    policies,
    upstream: application,
    listen,
    admin,
    egress,
    ...(tls && { tls }),
    state: values.state ?? join(resolve(policies), '..', '.portcullis'),
    redisUrl: redis ?? null,
    ...(values.control !== undefined && { control: values.control }),
    accessPolicy: values['access-policy'] ?? null,
    rateLimitPolicy: values['rate-limit-policy'] ?? null,
    ...candidatesOf(values['candidate-access-policy'] ?? null, values['candidate-rate-limit-policy'] ?? null),
  };
}

/** Undefined: neither is given; null: one is missing. */
function certificateFiles(cert: string | undefined, key: string | undefined): CertificateFiles | null | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) return null;
  return { cert, key, name: `${cert} and ${key}`, advice: 'write them there' };
}

function candidatesOf(accessPolicy: string | null, rateLimitPolicy: string | null): Pick<LocalOptions, 'candidates'> {
  return accessPolicy === null && rateLimitPolicy === null ? {} : { candidates: { accessPolicy, rateLimitPolicy } };
}

function parseUpstream(text: string): HostPort {
  const url = URL.parse(text);
  if (url?.protocol === 'https:') {
    throw new RangeError('--upstream must be an http:// URL: the application is reached without TLS, on the same host');
  }
  const bare = url !== null && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '';
  if (url === null || url.protocol !== 'http:' || url.hostname === '' || !bare) {
    throw new RangeError(`--upstream must be http://HOST:PORT and nothing more, not ${JSON.stringify(text)}`);
  }
  return { host: withoutBrackets(url.hostname), port: url.port === '' ? 80 : Number(url.port) };
}

function parseHostPort(flag: string, text: string): HostPort {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]/\s]+):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[2] ?? Number.NaN);
  if (match === null || !(port <= 65535)) {
    throw new RangeError(
      `${flag} must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, not ${JSON.stringify(text)}`,
    );
  }
  return { host: withoutBrackets(match[1]!), port };
}

/** Whoever reaches egress is given the brokers' credentials. */
function parseLoopback(flag: string, text: string): HostPort {
  const address = parseHostPort(flag, text);
  if (address.host !== '127.0.0.1' && address.host !== '::1') {
    throw new RangeError(`${flag} must be on the loopback, such as 127.0.0.1:14182, not ${JSON.stringify(text)}`);
  }
  return address;
}

function withoutBrackets(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
