import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { didYouMean } from '../policy/api/nearest.ts';
import { type Check, count, list, name, object, oneOf, text } from '../policy/bundle/check.ts';
import { PortcullisError } from '../policy/errors.ts';

/** A TCP address; port 0 takes a free one. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** One captured port: where the sidecar listens, and where the application does. */
export interface Listener {
  readonly listen: HostPort;
  readonly upstream: HostPort;
}

/** A probe of the application that the kubelet sends to the admin port, at /probes/CONTAINER/KIND. */
export type ForwardedProbe = {
  readonly container: string;
  readonly kind: 'liveness' | 'readiness' | 'startup';
  /** Seconds. */
  readonly timeoutSeconds: number;
} & (
  | {
      readonly type: 'http';
      readonly port: number;
      readonly path: string;
      readonly scheme: 'HTTP' | 'HTTPS';
      readonly headers: readonly (readonly [string, string])[];
    }
  | { readonly type: 'tcp'; readonly port: number }
);

/** Policies that a sidecar tries beside those that it enforces; at least one. */
export interface CandidateNames {
  readonly accessPolicy: string | null;
  readonly rateLimitPolicy: string | null;
}

/**
 * All that a sidecar is told at start by those who inject it; its command line, written by the operator and read by the
 * sidecar. The bundles are mounted Secrets.
 */
export interface SidecarArguments {
  readonly namespace: string;
  readonly accessPolicy: string;
  readonly rateLimitPolicy: string | null;
  /** Policies that are only tried on every request; absent: none is. */
  readonly candidates?: CandidateNames;
  /** Whether this pod issues tokens, as the access policy's `tokens` says. */
  readonly issueTokens: boolean;
  /** Ed25519 key of the only writer of bundles that is believed: SPKI DER in base64. */
  readonly bundleKey: string;
  /** Serials of the bundles when the pod was injected: older ones are refused. 0: there were none. */
  readonly minimumSerials: { readonly access: number; readonly limits: number; readonly issuer: number };
  /** Secret of the pod's namespace with the certificate of the traffic ports (kubernetes.io/tls); null: they speak plain HTTP. */
  readonly tlsSecret: string | null;
  readonly listeners: readonly Listener[];
  readonly admin: HostPort;
  /** Where the application reaches egress, on the loopback; absent: nowhere. */
  readonly egress?: HostPort;
  readonly probes: readonly ForwardedProbe[];
  /** Standing reasons to refuse all traffic, from the closed list of injection: the pod is unready and answers 503. */
  readonly refuse: readonly string[];
}

/** Where the injector mounts what the sidecar reads and writes. */
export const SIDECAR_PATHS = {
  access: '/etc/portcullis/access',
  limits: '/etc/portcullis/limits',
  candidateAccess: '/etc/portcullis/candidate-access',
  candidateLimits: '/etc/portcullis/candidate-limits',
  issuer: '/etc/portcullis/issuer',
  tls: '/etc/portcullis/tls',
  /** Directory of the sidecar's own, for the control socket. */
  run: '/run/portcullis',
  /** `drain`, `wait` and `explain` speak to the process here. */
  controlSocket: '/run/portcullis/control.sock',
} as const;

/** Ports and user of the sidecar, unless the chart says otherwise. */
export const SIDECAR_DEFAULTS = { trafficPort: 14180, adminPort: 14181, egressPort: 14182, userId: 64180 } as const;

const FLAGS: ReadonlySet<string> = new Set([
  'namespace',
  'access-policy',
  'rate-limit-policy',
  'candidate-access-policy',
  'candidate-rate-limit-policy',
  'issue-tokens',
  'bundle-key',
  'minimum-access-serial',
  'minimum-limits-serial',
  'minimum-issuer-serial',
  'tls-secret',
  'listen',
  'admin',
  'egress',
  'probe',
  'refuse',
]);

/**
 * The arguments of the sidecar's container: `run` and one flag a thing. Hosts may be `$(VARIABLE)`, which Kubernetes expands; nothing
 * else in the result is touched by that expansion.
 */
export function sidecarArgv(args: SidecarArguments): string[] {
  const { minimumSerials, rateLimitPolicy } = args;
  return [
    'run',
    `--namespace=${args.namespace}`,
    `--access-policy=${args.accessPolicy}`,
    ...(rateLimitPolicy === null ? [] : [`--rate-limit-policy=${rateLimitPolicy}`]),
    ...candidateArgv(args.candidates),
    ...(args.issueTokens ? ['--issue-tokens=true'] : []),
    `--bundle-key=${args.bundleKey}`,
    `--minimum-access-serial=${minimumSerials.access}`,
    `--minimum-limits-serial=${minimumSerials.limits}`,
    ...(args.issueTokens ? [`--minimum-issuer-serial=${minimumSerials.issuer}`] : []),
    ...(args.tlsSecret === null ? [] : [`--tls-secret=${args.tlsSecret}`]),
    ...args.listeners.map(({ listen, upstream }) => `--listen=${hostPort(listen)},upstream=${hostPort(upstream)}`),
    `--admin=${hostPort(args.admin)}`,
    ...(args.egress === undefined ? [] : [`--egress=${hostPort(args.egress)}`]),
    // A dollar sign in a user's path or header is no reference to a variable.
    ...args.probes.map((probe) => `--probe=${JSON.stringify(probe).replaceAll('$', '\\u0024')}`),
    ...args.refuse.map((reason) => `--refuse=${reason}`),
  ];
}

/**
 * Reads what `sidecarArgv` wrote, `run` included, after Kubernetes has expanded it. Throws config_invalid with everything that is
 * wrong, one a line.
 */
export function parseSidecarArguments(argv: readonly string[]): SidecarArguments {
  const reader = new FlagReader(argv);
  const parsed: SidecarArguments = {
    namespace: reader.one('namespace', nonEmpty),
    accessPolicy: reader.one('access-policy', nonEmpty),
    rateLimitPolicy: reader.optional('rate-limit-policy', nonEmpty) ?? null,
    ...candidatesOf(reader),
    issueTokens: reader.optional('issue-tokens', trueOrFalse) ?? false,
    bundleKey: reader.one('bundle-key', base64),
    minimumSerials: {
      access: reader.optional('minimum-access-serial', wholeNumber) ?? 0,
      limits: reader.optional('minimum-limits-serial', wholeNumber) ?? 0,
      issuer: reader.optional('minimum-issuer-serial', wholeNumber) ?? 0,
    },
    tlsSecret: reader.optional('tls-secret', nonEmpty) ?? null,
    listeners: reader.all('listen', parseListener),
    admin: reader.one('admin', parseHostPort),
    ...egressOf(reader),
    probes: reader.all('probe', (value) => forwardedProbe(JSON.parse(value), 'probe')),
    refuse: reader.all('refuse', nonEmpty),
  };
  reader.finish();
  return parsed;
}

function egressOf(reader: FlagReader): Pick<SidecarArguments, 'egress'> {
  const egress = reader.optional('egress', parseLoopback);
  return egress === undefined ? {} : { egress };
}

function candidateArgv(candidates: SidecarArguments['candidates']): string[] {
  const { accessPolicy = null, rateLimitPolicy = null } = candidates ?? {};
  return [
    ...(accessPolicy === null ? [] : [`--candidate-access-policy=${accessPolicy}`]),
    ...(rateLimitPolicy === null ? [] : [`--candidate-rate-limit-policy=${rateLimitPolicy}`]),
  ];
}

function candidatesOf(reader: FlagReader): Pick<SidecarArguments, 'candidates'> {
  const accessPolicy = reader.optional('candidate-access-policy', nonEmpty) ?? null;
  const rateLimitPolicy = reader.optional('candidate-rate-limit-policy', nonEmpty) ?? null;
  return accessPolicy === null && rateLimitPolicy === null ? {} : { candidates: { accessPolicy, rateLimitPolicy } };
}

/** Reads flags one by one and keeps what is wrong with them for the end; until then a wrong one reads as undefined. */
class FlagReader {
  readonly #values = new Map<string, string[]>();
  readonly #problems: string[] = [];

  constructor(argv: readonly string[]) {
    const [command = '', ...rest] = argv;
    if (command !== 'run') this.#problems.push(`the command must be run, not ${JSON.stringify(command)}`);
    for (const token of parseArgs({ args: rest, strict: false, tokens: true }).tokens) {
      if (token.kind === 'option-terminator') continue;
      if (token.kind === 'positional')
        this.#problems.push(`${JSON.stringify(token.value)} belongs to no flag: write --FLAG=VALUE`);
      else if (!FLAGS.has(token.name))
        this.#problems.push(`unknown flag ${token.rawName}${didYouMean(token.name, [...FLAGS])}`);
      else if (token.value === undefined)
        this.#problems.push(`--${token.name} needs a value: write --${token.name}=VALUE`);
      else this.#values.set(token.name, [...(this.#values.get(token.name) ?? []), token.value]);
    }
  }

  all<T>(flag: string, read: (value: string) => T): T[] {
    return (this.#values.get(flag) ?? []).map((value) => {
      try {
        return read(value);
      } catch (error) {
        this.#problems.push(`--${flag}: ${(error as Error).message}`);
        return undefined as T; // never returned: `finish` throws
      }
    });
  }

  optional<T>(flag: string, read: (value: string) => T): T | undefined {
    const values = this.all(flag, read);
    if (values.length > 1) this.#problems.push(`--${flag} is given ${values.length} times`);
    return values[0];
  }

  one<T>(flag: string, read: (value: string) => T): T {
    if (!this.#values.has(flag)) this.#problems.push(`--${flag} is required`);
    return this.optional(flag, read) as T;
  }

  finish(): void {
    if (this.#problems.length > 0) throw new PortcullisError('config_invalid', this.#problems.join('\n'));
  }
}

const port: Check<number> = (value, place) => {
  const number = count(1)(value, place);
  if (number > 65_535) throw new RangeError(`${place}: must be a port from 1 to 65535`);
  return number;
};
const header: Check<readonly [string, string]> = (value, place) => {
  const [key, held, ...more] = list(text)(value, place);
  if (key === undefined || held === undefined || more.length > 0)
    throw new RangeError(`${place}: must be a name and a value`);
  return [key, held];
};
const probeBase = { container: name, kind: oneOf('liveness', 'readiness', 'startup'), timeoutSeconds: count(1), port };
const httpProbe = object<Extract<ForwardedProbe, { type: 'http' }>>({
  ...probeBase,
  type: oneOf('http'),
  path: text,
  scheme: oneOf('HTTP', 'HTTPS'),
  headers: list(header),
});
const tcpProbe = object<Extract<ForwardedProbe, { type: 'tcp' }>>({ ...probeBase, type: oneOf('tcp') });
const forwardedProbe: Check<ForwardedProbe> = (value, place) =>
  ((value as { type?: unknown } | null)?.type === 'tcp' ? tcpProbe : httpProbe)(value, place);

/** An IPv6 address in brackets; what Kubernetes will put in for a variable has none, and the last colon still tells. */
function hostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseHostPort(value: string): HostPort {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]*)\]|(.*)):([0-9]{1,5})$/s.exec(value) ?? [];
  const host = bracketed ?? bare ?? '';
  if (host.startsWith('$(')) {
    throw new RangeError(`${host} was not expanded: the container has no such environment variable`);
  }
  if (isIP(host) === 0 || Number(digits) > 65_535) {
    throw new RangeError(
      `must be ADDRESS:PORT, such as 10.0.0.7:14180 or [fd00::7]:14180, not ${JSON.stringify(value)}`,
    );
  }
  return { host, port: Number(digits) };
}

/** Whoever reaches egress is given the brokers' credentials: nobody but the pod may. */
function parseLoopback(value: string): HostPort {
  const address = parseHostPort(value);
  if (address.host !== '127.0.0.1' && address.host !== '::1') {
    throw new RangeError(`must be on the loopback, such as 127.0.0.1:14182, not ${JSON.stringify(value)}`);
  }
  return address;
}

function parseListener(value: string): Listener {
  const [listen = '', upstream] = value.split(',upstream=');
  if (upstream === undefined) {
    throw new RangeError(`must be ADDRESS:PORT,upstream=ADDRESS:PORT, not ${JSON.stringify(value)}`);
  }
  return { listen: parseHostPort(listen), upstream: parseHostPort(upstream) };
}

function nonEmpty(value: string): string {
  if (value === '') throw new RangeError('must not be empty');
  return value;
}

function base64(value: string): string {
  if (value === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) throw new RangeError('must be base64');
  return value;
}

function wholeNumber(value: string): number {
  if (!/^[0-9]{1,15}$/.test(value)) throw new RangeError(`must be a whole number, not ${JSON.stringify(value)}`);
  return Number(value);
}

function trueOrFalse(value: string): boolean {
  if (value !== 'true' && value !== 'false')
    throw new RangeError(`must be true or false, not ${JSON.stringify(value)}`);
  return value === 'true';
}
