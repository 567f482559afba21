import type { JwtAlgorithm } from '../../bundle/types.ts';
import { applyStep, newKeyOf } from '../apply-step.ts';
import type { KeyMaterial, Keyring } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import { plan } from '../plan.ts';
import type { KeySetSpec } from '../spec.ts';
import type { PlanContext, Step } from '../step.ts';

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
  issuer: 'https://auth.example',
  audiences: ['trading-api'],
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
};

/** SPEC with other rotation settings. */
export function rotating(rotation: Partial<KeySetSpec['rotation']>, spec: KeySetSpec = SPEC): KeySetSpec {
  return { ...spec, rotation: { ...spec.rotation, ...rotation } };
}

const MEMBERS: { readonly [A in JwtAlgorithm]: readonly [shared: readonly string[], secret: readonly string[]] } = {
  HS256: [['kty', 'k'], []],
  RS256: [
    ['kty', 'n', 'e'],
    ['d', 'p', 'q', 'dp', 'dq', 'qi'],
  ],
  ES256: [['kty', 'crv', 'x', 'y'], ['d']],
};

/** Key material that signs nothing: kid `k<number>`; whatever must stay private says `private`. */
export function fakeKey(number: number, algorithm: JwtAlgorithm): KeyMaterial {
  const [shared, secret] = MEMBERS[algorithm];
  return {
    kid: `k${number}`,
    algorithm,
    jwk: Object.fromEntries(shared.map((name) => [name, `${name}-${number}`])),
    privateMembers: Object.fromEntries(secret.map((name) => [name, `private-${name}-${number}`])),
  };
}

/** A key set with one controller, no races and a clock that is set by hand. */
export class QuietKeySet {
  spec: KeySetSpec;
  now: number;
  outputs: KeySetOutputs | null = null;
  keyring: Keyring | null = null;
  context: PlanContext = { initialised: false, acknowledgements: [] };
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
    else if (step.kind !== 'Wait' && step.kind !== 'Halt') {
      const wanted = newKeyOf(step);
      const made = wanted === null ? null : fakeKey(++this.#keys, wanted.algorithm);
      this.keyring = applyStep(this.spec, this.keyring, step, made, this.now);
    }
  }

  /** Plans and applies at a standing clock until there is nothing to do; returns the steps, the last a Wait or Halt. */
  settle(): Step[] {
    const steps: Step[] = [];
    for (let passes = 0; passes < 60; passes++) {
      const step = this.plan();
      steps.push(step);
      if (step.kind === 'Wait' || step.kind === 'Halt') return steps;
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
