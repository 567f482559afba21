import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { decodeBundle } from '../../policy/bundle/decode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import { exampleAccessBundle } from '../../policy/bundle/testing/example-bundles.ts';
import { KubeError } from '../kube/kube-client.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { createBundleSerials } from './bundle-serials.ts';
import { createBundlePublisher } from './publish-bundle.ts';
import { OPERATOR_NAMESPACE, testSigningKey } from './testing/signing-key.ts';

const NOW = 1_700_000_000_000;
const { serial: _, ...example } = exampleAccessBundle;
const at = { namespace: 'trading', name: 'portcullis-access-orders' };
const owner = { apiVersion: 'portcullis.dev/v1alpha1', kind: 'AccessPolicy', name: 'orders', uid: 'policy-1' };
const BY_USER = { 'put-back': 'by a user' };
const contentOf = (index: number) => ({ ...example, roles: [{ name: `role-${index}`, permissions: ['*'] }] });

/** What happens side by side; every request of anybody waits for its turn, which may be any. */
interface Story {
  /** Each operator publishes these contents one after another; null: it restarts. */
  readonly operators: readonly (readonly (number | null)[])[];
  /** By how many milliseconds each operator's clock is off. */
  readonly skews: readonly number[];
  /** What a user does to the Secret: delete it, or put back a version that was there. */
  readonly user: readonly ('delete' | number)[];
}

const published = fc.array(fc.option(fc.nat(2), { freq: 5 }), { maxLength: 5 });
const skew = fc.integer({ min: -60_000, max: 60_000 });
const stories: fc.Arbitrary<Story> = fc.record({
  operators: fc.tuple(published, published),
  skews: fc.tuple(skew, skew),
  user: fc.array(fc.oneof(fc.constant('delete' as const), fc.nat(9)), { maxLength: 6 }),
});

async function play(scheduler: fc.Scheduler, { operators, skews, user }: Story): Promise<void> {
  const client = new MemoryKubeClient();
  const signingKey = await testSigningKey(client);
  const bundles = client.cache(SECRETS, ({ metadata }) => metadata.name === at.name);
  const written: Secret[] = [];
  bundles.onChange((now) => {
    if (now?.data?.[BUNDLE_FILE] && now.metadata.annotations === undefined) written.push(now);
  });
  const start = (clock: number) => {
    const serials = createBundleSerials(client, OPERATOR_NAMESPACE, () => clock);
    return createBundlePublisher({ client, bundles, signingKey, serials, highestSerial: () => 0 });
  };
  const operate = async (steps: readonly (number | null)[], clock: number): Promise<void> => {
    let publisher = start(clock);
    for (const step of steps) {
      if (step === null) publisher = start(clock);
      else await publisher.publish(contentOf(step), owner).catch(ignoreConflict);
    }
  };
  const meddle = async (): Promise<void> => {
    for (const act of user) {
      const old = act === 'delete' ? undefined : written[act % Math.max(written.length, 1)];
      const now = await client.get(SECRETS, at);
      if (act === 'delete') await client.delete(SECRETS, at);
      else if (old !== undefined && now !== null) {
        const { resourceVersion: _version, ...metadata } = { ...old.metadata, uid: now.metadata.uid ?? '' };
        const putBack = { ...old, metadata: { ...metadata, annotations: BY_USER } };
        await client.replace(SECRETS, putBack).catch(ignoreConflict);
      }
    }
  };

  client.before = async () => void (await scheduler.schedule(Promise.resolve()));
  const all = [...operators.map((steps, index) => operate(steps, NOW + (skews[index] ?? 0))), meddle()];
  await scheduler.waitFor(Promise.all(all));
  client.before = () => undefined;
  const last = await start(NOW - 60_000).publish(contentOf(0), owner);

  const files = written.map(({ data }) => Buffer.from(data?.[BUNDLE_FILE] ?? '', 'base64'));
  const wanted = { kind: 'Access', namespace: 'trading', name: 'orders', afterSerial: 0 } as const;
  const { publicKey } = signingKey;
  const serialsWritten = files.map((file) => decodeBundle(file, { ...wanted, publicKey }).serial);
  for (const [index, serial] of serialsWritten.entries()) {
    assert.ok(serial > (serialsWritten[index - 1] ?? 0), `serials ${serialsWritten.join(', ')}`);
  }
  const found = await client.get(SECRETS, at);
  const file = Buffer.from(found?.data?.[BUNDLE_FILE] ?? '', 'base64');
  const { serial, ...content } = decodeBundle(file, { ...wanted, publicKey });
  assert.deepEqual([serial, content], [last?.serial, contentOf(0)]);
}

function ignoreConflict(error: unknown): void {
  if (!(error instanceof KubeError && ['Conflict', 'NotFound'].includes(error.reason))) throw error;
}

it('serials of what operators write only ever rise, whoever else writes, deletes or puts back', async () => {
  await fc.assert(fc.asyncProperty(fc.scheduler(), stories, play), {
    numRuns: Number(process.env['FC_RUNS'] ?? 200),
  });
});
