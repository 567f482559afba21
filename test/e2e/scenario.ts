import type { TestContext } from 'node:test';
import { readyPods } from './look.ts';
import { restrictedNamespace } from './trading.ts';
import { type Manifest, part, until, type World } from './world.ts';

/** What scenarios are played with. */
export interface Stage {
  readonly world: World;
  /** A scenario in a namespace of its own, which is deleted after it. */
  scenario(
    name: string,
    work: (namespace: string) => Promise<string>,
    labels?: Readonly<Record<string, string>>,
  ): Promise<void>;
  /** Waits for exactly `count` ready pods. */
  ready(namespace: string, selector: string, count: number): Promise<readonly Manifest[]>;
  /** Status of a GET without a token. */
  statusAt(url: string): Promise<number>;
}

/** A stage in `world` whose scenarios are parts of the test. */
export function stageOf(t: TestContext, world: World): Stage {
  return {
    world,
    scenario: async (name, work, labels) => {
      const namespace = name
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-|-$/g, '')
        .slice(0, 40);
      await part(t, name, async () => {
        await world.apply('default', restrictedNamespace(namespace, labels));
        return work(namespace);
      });
      await world.kubectl(['delete', 'namespace', namespace, '--wait=false', '--ignore-not-found']);
    },
    ready: (namespace, selector, count) =>
      until(`${count} ready pods of ${selector}`, async () => {
        const pods = await readyPods(world, namespace, selector);
        return pods.length === count && pods;
      }),
    statusAt: async (url) => (await world.client.request({ url })).status,
  };
}

/** Address of a pod. */
export function podAddress(pod: Manifest): string {
  return pod.status.podIP;
}
