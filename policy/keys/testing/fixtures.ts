import { KEY_SHAPES, type KeySetAlgorithm } from '../algorithms.ts';
import { applyStep, newKeyOf } from '../apply-step.ts';
import type { KeyMaterial, Keyring } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import { plan } from '../plan.ts';
import type { KeySetSpec } from '../spec.ts';
import type { KeyringStep, PlanContext, Step } from '../step.ts';

/** One minute in milliseconds. */
export const MINUTE = 60_000;
/** One hour in milliseconds. */
export const HOUR = 60 * MINUTE;

/** A key set of R 720h, T 1h, P 2m, C 10m, S 1m, prePublish 24h; ackTimeout 24h. */
export const SPEC: KeySetSpec = {
  namespace: 'auth',
  name: 'trading',
  uid: 'a-uid',
  algorithm: 'ES256',
  maxTokenLifetimeMs: HOUR,
  propagationMs: 2 * MINUTE,
  jwksMaxAgeMs: 10 * MINUTE,
  clockSkewMs: MINUTE,
  rotation: {
    periodMs: 720 * HOUR,
    prePublishMs: 24 * HOUR,
    maxKeys: 8,
    ackTimeoutMs: 24 * HOUR,
    notBefore: null,
    suspend: false,
  },
  rotateRequest: null,
  revocations: [],
  escrow: null,
  acceptedLoss: null,
  deletion: null,
};

/** SPEC with other rotation settings. */
export function rotating(rotation: Partial<KeySetSpec['rotation']>, spec: KeySetSpec = SPEC): KeySetSpec {
  return { ...spec, rotation: { ...spec.rotation, ...rotation } };
}

/** Key material that signs nothing: kid `k<number>`; whatever must stay private says `private-` or `secret-`. */
export function fakeKey(number: number, algorithm: KeySetAlgorithm): KeyMaterial {
  const { members, privateMembers } = KEY_SHAPES[algorithm];
  return {
    kid: `k${number}`,
    algorithm,
    jwk: Object.fromEntries(
      ['kty', ...members].map((name) => [name, `${name === 'k' ? 'secret-' : ''}${name}-${number}`]),
    ),
    privateMembers: Object.fromEntries(privateMembers.map((name) => [name, `private-${name}-${number}`])),
  };
}

/** Whether a step is carried out by a write of the keyring. */
export function isKeyringStep(step: Step): step is KeyringStep {
  return !['Wait', 'Halt', 'WriteOutputs', 'WriteExports', 'WriteEscrow', 'Erase', 'Release'].includes(step.kind);
}

/** A key set with one controller, no races and a clock that is set by hand. */
export class QuietKeySet {
  spec: KeySetSpec;
  now: number;
  outputs: KeySetOutputs | null = null;
  keyring: Keyring | null = null;
  context: PlanContext = { traces: null, exported: true, escrow: { kind: 'Off' }, acknowledgements: [] };
  #keys = 0;

  constructor(spec: KeySetSpec = SPEC, now = 1_000_000_000_000) {
    this.spec = spec;
    this.now = now;
  }

  plan(): Step {
    return plan(this.spec, this.outputs, this.keyring, this.now, this.context);
  }

  /** Carries out one step, if there is anything to carry out. */
  apply(step: Step): void {
    if (step.kind === 'WriteOutputs') this.outputs = step.outputs;
    else if (step.kind === 'WriteExports') this.context = { ...this.context, exported: true };
    else if (step.kind === 'WriteEscrow') this.#escrowed(true);
    else if (step.kind === 'Erase') {
      Object.assign(this, { outputs: null, keyring: null, context: { ...this.context, exported: true } });
    } else if (isKeyringStep(step)) {
      const wanted = newKeyOf(step);
      const made = wanted === null ? null : fakeKey(++this.#keys, wanted.algorithm);
      this.keyring = applyStep(this.spec, this.keyring, step, made, this.now);
      this.#escrowed(false);
    }
  }

  #escrowed(current: boolean): void {
    if (this.context.escrow.kind === 'Usable') this.context = { ...this.context, escrow: { kind: 'Usable', current } };
  }

  /** Plans and applies at a standing clock until there is nothing to do; returns the steps, of which the last is no effect. */
  settle(): Step[] {
    const steps: Step[] = [];
    for (let passes = 0; passes < 60; passes++) {
      const step = this.plan();
      steps.push(step);
      if (step.kind === 'Wait' || step.kind === 'Halt' || step.kind === 'Release') return steps;
      this.apply(step);
    }
    throw new Error(`did not settle: ${steps.map(({ kind }) => kind).join(' ')}`);
  }

  /** Sets the clock forward and settles. */
  advance(ms: number): Step[] {
    this.now += ms;
    return this.settle();
  }

  get ring(): Keyring {
    if (this.keyring === null) throw new Error('no keyring');
    return this.keyring;
  }

  get activeKid(): string | undefined {
    return this.ring.keys.find(({ phase }) => phase === 'Active')?.kid;
  }

  /** `k1:Retired k2:Active` */
  get phases(): string {
    return this.ring.keys.map(({ kid, phase }) => `${kid}:${phase}`).join(' ');
  }
}
