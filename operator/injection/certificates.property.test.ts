import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { KubeError, type Reconcile } from '../kube/kube-client.ts';
import { SECRETS } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { CERTIFICATE_TIMES, type CertificateTimes } from './certificates.ts';
import { certificateReconcile, MUTATING, VALIDATING, type WebhookConfiguration } from './certificates-reconcile.ts';
import { readServerCertificate } from './certificates-secret.ts';
import { WEBHOOK_CONFIG } from './testing/webhook-config.ts';

// Two operators that take each other's lease, crash after any request, are held up in any request and run in between each
// other's requests; three replicas that see the Secret most of a day late; API servers that see the configurations up to
// `settleMs` late. At every instant every replica serves what every API server trusts.

const RUNS = Number(process.env['FC_RUNS'] ?? 1);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 0, 1);
const KEY = { namespace: WEBHOOK_CONFIG.namespace, name: WEBHOOK_CONFIG.webhook.certificateSecret };

interface Totals {
  leaves: number;
  bundles: number;
  faults: number;
}

class Simulation {
  readonly #client = new MemoryKubeClient();
  readonly #times: CertificateTimes;
  readonly #random: () => number;
  readonly #totals: Totals;
  #now = START;
  #nested = false;
  #started = false;
  #leaders: Reconcile[] = [];
  #lastPass = START;
  /** What each configuration held, since when. */
  readonly #published = new Map<string, { readonly since: number; readonly bundle: string }[]>();
  readonly #replicas = [0, 1, 2].map(() => ({ certificate: '', lookedAt: 0 }));
  readonly #verified = new Map<string, boolean>();

  constructor(times: CertificateTimes, random: () => number, totals: Totals) {
    this.#times = times;
    this.#random = random;
    this.#totals = totals;
    this.#leaders = [this.#leader(), this.#leader()];
    this.#client.before = () => this.#disturb();
  }

  async run(years: number): Promise<void> {
    for (const type of [MUTATING, VALIDATING]) {
      const name =
        type === MUTATING
          ? WEBHOOK_CONFIG.webhook.mutatingConfiguration
          : WEBHOOK_CONFIG.webhook.validatingConfiguration;
      const webhooks = [{ name: 'one', clientConfig: {} }];
      this.#client.cache(type).onChange((now) => this.#record(now!));
      await this.#undisturbed(() => this.#client.create(type, { metadata: { name }, webhooks }));
    }
    await this.#undisturbed(() => this.#leaders[0]!(''));
    for (const replica of this.#replicas) await this.#look(replica);
    this.#now += this.#times.settleMs;
    this.#started = true;
    while (this.#now < START + years * 365 * DAY) {
      this.#pass(this.#random() < 0.25 ? this.#upTo(90_000) : this.#upTo(8 * HOUR));
      for (const replica of this.#replicas) {
        if (this.#random() < 0.1 || this.#now - replica.lookedAt > DAY / 2) await this.#look(replica);
      }
      if (this.#random() < 0.35) await this.#lead();
      while (this.#now - this.#lastPass > DAY / 2) await this.#lead();
      this.#check();
    }
  }

  #leader(): Reconcile {
    const now = () => this.#now;
    return certificateReconcile({ client: this.#client, config: WEBHOOK_CONFIG, times: this.#times, now });
  }

  async #lead(): Promise<void> {
    const which = this.#random() < 0.5 ? 0 : 1;
    try {
      await this.#leaders[which]!('');
      this.#lastPass = this.#now;
    } catch (error) {
      if (!(error instanceof KubeError && error.status === 0)) throw error;
      this.#totals.faults++;
      this.#leaders[which] = this.#leader();
    }
  }

  async #disturb(): Promise<void> {
    if (!this.#started || this.#nested) return;
    if (this.#random() < 0.02) throw new KubeError(0, 'Crashed', 'crashed');
    if (this.#random() < 0.05) this.#pass(this.#upTo(10 * MINUTE));
    if (this.#random() < 0.05) await this.#undisturbed(() => this.#lead());
  }

  async #undisturbed(action: () => Promise<unknown>): Promise<void> {
    this.#nested = true;
    await action();
    this.#nested = false;
  }

  async #look(replica: { certificate: string; lookedAt: number }): Promise<void> {
    await this.#undisturbed(async () => {
      const secret = await this.#client.get(SECRETS, KEY);
      const served = readServerCertificate(secret!)!.certificate;
      if (served !== replica.certificate) this.#totals.leaves++;
      replica.certificate = served;
      replica.lookedAt = this.#now;
    });
  }

  #record({ metadata, webhooks = [] }: WebhookConfiguration): void {
    const { caBundle = '' } = webhooks[0]!.clientConfig;
    const held = this.#published.get(metadata.name) ?? [];
    this.#published.set(metadata.name, held);
    held.push({ since: this.#now, bundle: Buffer.from(caBundle, 'base64').toString() });
    this.#totals.bundles++;
    if (this.#started) this.#check();
  }

  #pass(ms: number): void {
    this.#now += ms;
    if (this.#started) this.#check();
  }

  #upTo(ms: number): number {
    return Math.ceil(this.#random() * ms);
  }

  #check(): void {
    for (const held of this.#published.values()) {
      const current = held.findLastIndex(({ since }) => since <= this.#now - this.#times.settleMs);
      for (const { bundle } of held.slice(Math.max(current, 0))) {
        for (const { certificate } of this.#replicas) {
          assert.ok(this.#trusts(bundle, certificate), `not trusted on ${new Date(this.#now).toISOString()}`);
        }
      }
    }
  }

  #trusts(bundle: string, certificate: string): boolean {
    const isCurrent = ({ from, to }: Parsed) => from <= this.#now && this.#now < to;
    const [leaf] = parsed(certificate);
    if (leaf === undefined || !isCurrent(leaf)) return false;
    return parsed(bundle).some((signer) => {
      const pair = `${signer.x509.serialNumber} ${leaf.x509.serialNumber}`;
      const verified = this.#verified.get(pair) ?? isSignedBy(leaf, signer);
      this.#verified.set(pair, verified);
      return isCurrent(signer) && verified;
    });
  }
}

interface Parsed {
  readonly x509: X509Certificate;
  readonly from: number;
  readonly to: number;
}

const known = new Map<string, readonly Parsed[]>();

/** The certificates of a file, parsed once. */
function parsed(pems: string): readonly Parsed[] {
  let certificates = known.get(pems);
  if (certificates === undefined) {
    certificates = (pems.match(/-----BEGIN[\s\S]+?END CERTIFICATE-----\n/g) ?? []).map((pem) => {
      const x509 = new X509Certificate(pem);
      return { x509, from: x509.validFromDate.getTime(), to: x509.validToDate.getTime() };
    });
    known.set(pems, certificates);
  }
  return certificates;
}

function isSignedBy(leaf: Parsed, signer: Parsed): boolean {
  return leaf.x509.checkIssued(signer.x509) && leaf.x509.verify(signer.x509.publicKey);
}

/** Mulberry32: numbers from 0 up to 1 that a seed decides. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Authorities change so often that a certificate is often due while the next one settles. */
const HASTY: CertificateTimes = {
  ...CERTIFICATE_TIMES,
  authorityLifeMs: 30 * DAY,
  authorityOverlapMs: 10 * DAY,
  settleMs: 8 * HOUR,
};

const cases = [
  { name: 'over three years', times: CERTIFICATE_TIMES, years: 3, leastBundles: 6 },
  { name: 'over a year of hasty authorities', times: HASTY, years: 1, leastBundles: 50 },
];

for (const { name, times, years, leastBundles } of cases) {
  test(`${name} every replica always serves what every API server trusts`, async (t) => {
    const totals: Totals = { leaves: 0, bundles: 0, faults: 0 };
    const property = fc.asyncProperty(fc.integer(), (seed) =>
      new Simulation(times, randomFrom(seed), totals).run(years),
    );
    await fc.assert(property, { numRuns: RUNS });
    const { leaves, bundles, faults } = totals;
    t.diagnostic(`${RUNS} runs: ${leaves} certificates served, ${bundles} bundles published, ${faults} crashes`);
    assert.ok(bundles >= leastBundles * RUNS, 'authorities changed');
  });
}
