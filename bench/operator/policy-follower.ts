import type { KubeObject } from '../../operator/kube/objects.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { ACCESS_POLICIES, type CustomResource } from '../../operator/resources.ts';
import type { ReflectorParts } from './simulated-sidecars.ts';

/** What the status of a policy says of the generation that is there, and which bundle serial it says it of. */
export interface PolicyStanding {
  readonly ready: boolean;
  readonly enforced: 'True' | 'NoMatchingPods' | 'No';
  readonly serial: number;
}

const TIMEOUT_MS = 240_000;

/** Watches what the operator says of AccessPolicies. */
export class PolicyFollower {
  readonly #cache: Reflector<CustomResource>;
  #losses = 0;

  constructor(parts: ReflectorParts) {
    this.#cache = new Reflector({ ...parts, type: ACCESS_POLICIES });
    this.#cache.onChange((now, before) => {
      const wasEnforced = before !== undefined && standingOf(before).enforced === 'True';
      if (wasEnforced && now !== undefined && condition(now, 'Enforced')?.status === 'False') this.#losses++;
    });
  }

  async start(): Promise<void> {
    this.#cache.start();
    await this.#cache.whenSynced();
  }

  stop(): Promise<void> {
    return this.#cache.stop();
  }

  /** How often a policy went from Enforced to not Enforced. */
  get losses(): number {
    return this.#losses;
  }

  standing(policy: KubeObject): PolicyStanding {
    return standingOf(this.#cache.get(policy.metadata)!);
  }

  /** Resolves when `holds` was true of each of these policies at some moment since now; to the time of the last, performance.now(). */
  until(
    what: string,
    policies: Iterable<KubeObject>,
    holds: (standing: PolicyStanding, policy: KubeObject) => boolean,
  ): Promise<number> {
    const missing = new Set(Array.from(policies, nameOf));
    return new Promise((resolve, reject) => {
      const look = (now: CustomResource | undefined): void => {
        if (!now || !missing.has(nameOf(now)) || !holds(standingOf(now), now)) return;
        missing.delete(nameOf(now));
        if (missing.size > 0) return;
        end();
        resolve(performance.now());
      };
      const timer = setTimeout(() => {
        end();
        const [first = ''] = missing;
        const [namespace = '', name = ''] = first.split('/');
        const status = JSON.stringify(this.#cache.get({ namespace, name })?.['status' as never]);
        reject(new Error(`${what}: ${missing.size} policies are not after ${TIMEOUT_MS / 1000} s: ${first} ${status}`));
      }, TIMEOUT_MS);
      const unsubscribe = this.#cache.onChange(look);
      const end = (): void => {
        clearTimeout(timer);
        unsubscribe();
      };
      for (const policy of this.#cache.all()) look(policy);
    });
  }
}

function standingOf(policy: CustomResource): PolicyStanding {
  const { status, metadata } = policy;
  const enforced = condition(policy, 'Enforced');
  const ready = condition(policy, 'Ready');
  const serial = Number(/serial (\d+)$/.exec(ready?.message ?? '')?.[1] ?? 0);
  if (status?.observedGeneration !== metadata.generation) return { ready: false, enforced: 'No', serial };
  const pods = enforced?.reason === 'NoMatchingPods' ? 'NoMatchingPods' : 'No';
  return { ready: ready?.status === 'True', enforced: enforced?.status === 'True' ? 'True' : pods, serial };
}

function condition({ status }: CustomResource, wanted: string) {
  return status?.conditions?.find(({ type }) => type === wanted);
}

function nameOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}
