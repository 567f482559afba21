import { mkdir } from 'node:fs/promises';
import { keySetRefsOf } from '../../policy/api/access-policy.ts';
import type { AccessContent } from '../../policy/compile/compile-access-policy.ts';
import type { IssuerContent } from '../../policy/compile/compile-issuer.ts';
import type { LimitsContent } from '../../policy/compile/compile-limits.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import type { LogSink } from '../../runtime/log.ts';
import { watchDirectory } from '../../runtime/watch-directory.ts';
import { type RunningSidecar, startSidecar } from '../../sidecar/start-sidecar.ts';
import { type CertificateFiles, loadCertificate } from '../../sidecar/tls/certificate-source.ts';
import { BundleWriter } from './bundle-writer.ts';
import { type CheckedPolicies, checkPolicies, type PolicyCheck, type PolicyChoice } from './check-policies.ts';
import { KeyRotation } from './key-rotation.ts';
import { candidateLocations, publishCandidates } from './local-candidates.ts';
import type { LocalOptions } from './local-options.ts';
import { type PolicyFile, readPolicyFiles } from './policy-files.ts';
import type { AffectedBundle, SourceProblem } from './source-problem.ts';
import { lockState } from './state-lock.ts';

/** What local mode needs of its process. */
export interface LocalHost {
  readonly sink: LogSink;
  /** Writes one line for people. */
  readonly say: (line: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly version: string;
}

/** Local mode at work. */
export interface RunningLocal {
  readonly sidecar: RunningSidecar;
  /** What is enforced now. */
  readonly policies: CheckedPolicies;
  readonly keys: KeyRotation;
  /** Lets requests under way finish, for up to 10 s, and stops everything. */
  stop(): Promise<void>;
}

const MAX_PASSES = 10;
/** The longest delay of a timer is 24.8 days (2^31 - 1 ms); clocks change, so we look far more often. */
const MAX_WAIT_MS = 60_000;
const RETRY_MS = 5_000;

/**
 * Starts local mode: keys, bundles, sidecar, and the watch over the directory. Throws policy_invalid with every problem of
 * the policies, one a line, and config_invalid when the state directory or an address cannot be had.
 */
export async function startLocal(options: LocalOptions, host: LocalHost): Promise<RunningLocal> {
  const files = await readPolicyFiles(options.policies);
  const check = checkPolicies(files, choiceOf(options));
  if (check.policies === null) throw new PortcullisError('policy_invalid', textOf(check.problems));
  if (check.problems.length > 0) host.say(textOf(check.problems));
  if (options.tls !== undefined) await mustHaveCertificate(options.tls);
  await mkdir(options.state, { recursive: true, mode: 0o700 }).catch((cause) => unusableState(options.state, cause));
  const unlock = await lockState(options.state);
  try {
    const local = new Local(options, host, check.policies, await BundleWriter.open(options.state), unlock);
    await local.start(files);
    return local;
  } catch (error) {
    await unlock();
    unusableState(options.state, error);
  }
}

/** Throws what happened; when it was a file of the state directory, as what its owner can mend. */
function unusableState(state: string, cause: unknown): never {
  const { path, message } = cause as NodeJS.ErrnoException;
  if (cause instanceof PortcullisError || path?.startsWith(state) !== true) throw cause;
  const problem = `the state directory cannot be used: ${message}; choose another with --state`;
  throw new PortcullisError('config_invalid', problem, { cause });
}

/** A cluster's Secret may come later; here somebody is waiting for a first answer. */
async function mustHaveCertificate(files: CertificateFiles): Promise<void> {
  const why = await loadCertificate(files).then(
    (found) => (found === null ? 'there is no such file' : null),
    (error: Error) => error.message,
  );
  if (why !== null) throw new PortcullisError('config_invalid', `--tls-cert and --tls-key: ${files.name}: ${why}`);
}

function choiceOf(options: LocalOptions): PolicyChoice {
  const { policies: directory, accessPolicy, rateLimitPolicy, redisUrl, candidates } = options;
  return { directory, accessPolicy, rateLimitPolicy, redisUrl, ...(candidates && { candidates }) };
}

function textOf(problems: readonly SourceProblem[]): string {
  return problems.map(({ text }) => text).join('\n');
}

class Local implements RunningLocal {
  readonly keys: KeyRotation;
  readonly #options: LocalOptions;
  readonly #host: LocalHost;
  readonly #writer: BundleWriter;
  readonly #unlock: () => Promise<void>;
  #policies: CheckedPolicies;
  #sidecar: RunningSidecar | null = null;
  #queue: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  #unwatch = () => {};
  #stopped = false;
  #lastCheck = '';
  #lastFault = '';

  constructor(
    options: LocalOptions,
    host: LocalHost,
    policies: CheckedPolicies,
    writer: BundleWriter,
    unlock: () => Promise<void>,
  ) {
    this.#options = options;
    this.#host = host;
    this.#policies = policies;
    this.#writer = writer;
    this.#unlock = unlock;
    this.keys = new KeyRotation(options.state, host.now, host.say);
  }

  get policies(): CheckedPolicies {
    return this.#policies;
  }

  get sidecar(): RunningSidecar {
    if (this.#sidecar === null) throw new Error('local mode has not started');
    return this.#sidecar;
  }

  async start(files: readonly PolicyFile[]): Promise<void> {
    this.#lastCheck = JSON.stringify(files);
    const { listen, admin, egress, upstream, policies } = this.#options;
    await this.keys.pass(this.#policies, () => []);
    await this.#writer.forget('Issuer'); // another directory's policy may have left one, which ours would only complain of
    await this.#publish();
    const { accessPolicy, limitPolicy } = this.#policies;
    const { namespace, name } = accessPolicy.metadata;
    this.#sidecar = await startSidecar({
      listeners: [{ listen, upstream }],
      ...(this.#options.tls && { tls: this.#options.tls }),
      admin,
      ...(egress && { egress }),
      ...(this.#options.control !== undefined && { controlSocket: this.#options.control }),
      bundles: {
        publicKey: this.#writer.publicKey,
        access: { directory: this.#writer.directoryOf('Access'), namespace, name },
        ...candidateLocations(this.#policies, this.#writer),
        issuer: { directory: this.#writer.directoryOf('Issuer'), namespace, name },
        limits:
          limitPolicy === null
            ? null
            : {
                directory: this.#writer.directoryOf('Limits'),
                namespace: limitPolicy.metadata.namespace,
                name: limitPolicy.metadata.name,
              },
      },
      sink: this.#host.sink,
      version: this.#host.version,
    }).catch((cause: NodeJS.ErrnoException & { address?: string; hostname?: string; port?: number }) => {
      if (cause.syscall !== 'listen' && cause.syscall !== 'bind' && cause.syscall !== 'getaddrinfo') throw cause;
      const address = cause.hostname ?? `${cause.address}:${cause.port}`;
      const message = `cannot listen on ${address} (${cause.code}); choose with --listen, --admin and --egress`;
      throw new PortcullisError('config_invalid', message, { cause });
    });
    this.#unwatch = watchDirectory(policies, () => this.#enqueue(() => this.#reload()));
    this.#enqueue(() => this.#advance());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    await this.#queue;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.sidecar.stop();
    await this.#unlock();
  }

  /** One thing at a time; a failure is said, and tried again later. */
  #enqueue(task: () => Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#stopped) return;
      try {
        await task();
        this.#lastFault = '';
      } catch (error) {
        const text = error instanceof PortcullisError ? error.message : String(error);
        if (text !== this.#lastFault) this.#host.say(text);
        this.#lastFault = text;
        this.#lastCheck = ''; // whatever comes next is checked afresh, and clears the error
        this.sidecar.reportSourceError('access', text);
        this.#wakeAt(this.#host.now() + RETRY_MS);
      }
    });
  }

  /** Rotates keys and publishes, until there is nothing to do now; what is loaded allows the next step. */
  async #advance(): Promise<void> {
    for (let passes = 0; passes < MAX_PASSES; passes++) {
      const nextAt = await this.keys.pass(this.#policies, (keySet) => this.#acknowledged(keySet));
      const published = await this.#publish();
      this.#wakeAt(nextAt);
      if (!published) return;
      await this.sidecar.checkBundles();
    }
  }

  /** Our sidecar is the only consumer, of the key sets that its access policy names. */
  #acknowledged(keySet: string): readonly Acknowledgement[] {
    const { accessPolicy } = this.#policies;
    const { namespace } = accessPolicy.metadata;
    const used = keySetRefsOf(accessPolicy).some(({ name }) => `${namespace}/${name}` === keySet);
    return used ? [{ consumer: 'portcullis local', serial: this.sidecar.status().keySets[keySet] ?? 0 }] : [];
  }

  #wakeAt(at: number | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const wait = at === null ? MAX_WAIT_MS : Math.min(Math.max(at - this.#host.now(), 10), MAX_WAIT_MS);
    this.#timer = setTimeout(() => this.#enqueue(() => this.#advance()), wait);
  }

  /** Whether some bundle is new. Throws policy_invalid when there are no keys to put into one. */
  async #publish(): Promise<boolean> {
    const { access, limits, issuer } = this.#policies.compile((keySet) => this.keys.outputsOf(keySet));
    const contents: (AccessContent | LimitsContent | IssuerContent | null)[] = [access.content];
    if (limits !== null) contents.unshift(limits.content);
    if (issuer !== null) contents.unshift(issuer);
    let published = false;
    for (const content of contents) {
      if (content === null)
        throw new PortcullisError('policy_invalid', this.#whyNot([...access.findings, ...(limits?.findings ?? [])]));
      published = (await this.#writer.write(content)) || published;
    }
    const outputsOf: Parameters<CheckedPolicies['compile']>[0] = (keySet) => this.keys.outputsOf(keySet);
    const tried = await publishCandidates(this.#policies, outputsOf, this.#writer, (findings) =>
      this.#host.say(`candidate not tried: ${this.#whyNot(findings)}`),
    );
    return tried || published;
  }

  #whyNot(findings: readonly { readonly message: string }[]): string {
    const troubles = this.#policies.keySets.flatMap((keySet) => this.keys.troubleOf(keySet) ?? []);
    return [...new Set([...troubles, ...findings.map(({ message }) => message)])].join('\n');
  }

  async #reload(): Promise<void> {
    const files = await readPolicyFiles(this.#options.policies);
    const seen = JSON.stringify(files);
    if (seen === this.#lastCheck) return;
    this.#lastCheck = seen;
    const check = this.#check(files);
    const errors = check.problems.filter(({ severity }) => severity === 'error');
    for (const { text } of check.problems) this.#host.say(text);
    if (check.policies === null) {
      this.#host.say(
        `${errors.length} ${errors.length === 1 ? 'error' : 'errors'}: the last good policies stay in force`,
      );
      this.#report('access', errors);
      this.#report('limits', errors);
      return;
    }
    this.#policies = check.policies;
    this.sidecar.reportSourceError('access', null);
    this.sidecar.reportSourceError('limits', null);
    await this.#advance();
    this.#host.say('policies reloaded');
  }

  /** A sidecar is started for two names and keeps them. */
  #check(files: readonly PolicyFile[]): PolicyCheck {
    const check = checkPolicies(files, choiceOf(this.#options));
    if (check.policies === null) return check;
    const problems = [
      ...renamed('access', this.#policies.accessPolicy, check.policies.accessPolicy),
      ...renamed('limits', this.#policies.limitPolicy, check.policies.limitPolicy),
    ];
    return problems.length === 0 ? check : { policies: null, problems: [...check.problems, ...problems] };
  }

  #report(kind: 'access' | 'limits', errors: readonly SourceProblem[]): void {
    if (kind === 'limits' && this.#policies.limitPolicy === null) return;
    const own = errors.filter(({ affects }) => affects === null || affects === kind);
    this.sidecar.reportSourceError(kind, own.length === 0 ? null : textOf(own));
  }
}

interface Named {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string };
}

function renamed(affects: AffectedBundle, before: Named | null, after: Named | null): SourceProblem[] {
  const [was, is] = [describe(before), describe(after)];
  if (was === is) return [];
  const text = `portcullis local was started with ${was} and would now have ${is}; restart it, or undo the change`;
  return [{ severity: 'error', affects, text }];
}

function describe(policy: Named | null): string {
  return policy === null ? 'no RateLimitPolicy' : `${policy.kind} ${policy.metadata.namespace}/${policy.metadata.name}`;
}
