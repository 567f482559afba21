import { BUNDLE_SIGNING_KEY_SECRET } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { type KubeClient, KubeError } from '../kube/kube-client.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';

/** Where bundles get their serials from. */
export interface BundleSerials {
  /** A serial above `floor` and above every serial that any operator was given before this was called. */
  next(floor: number): Promise<number>;
}

/** Annotation of the Secret with the signing key: the last serial that was given out. */
const LAST_SERIAL = 'portcullis.dev/last-bundle-serial';

const MAX_ATTEMPTS = 20;

interface Batch {
  floor: number;
  count: number;
}

/**
 * Serials counted in the Secret of the key that signs the bundles, which no user's `edit` role reaches: a write names the
 * version that was read, so that two operators never get the same serial and a later one is always higher. They follow the
 * clock (epoch milliseconds), so that they also rise where the Secret was restored from a backup. Callers that wait at the
 * same time share one write. Throws `key_refused` when the count is damaged, and KubeError.
 */
export function createBundleSerials(
  client: Pick<KubeClient, 'get' | 'patch'>,
  namespace: string,
  now: () => number,
): BundleSerials {
  const at = { namespace, name: BUNDLE_SIGNING_KEY_SECRET };
  let known: Secret | null = null;
  let flight: Promise<unknown> = Promise.resolve();
  let waiting: (Batch & { readonly first: Promise<number> }) | null = null;

  async function reserve({ floor, count }: Batch): Promise<number> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const secret: Secret | null = known ?? (await client.get(SECRETS, at));
      if (secret === null) {
        throw new PortcullisError('key_refused', `Secret ${namespace}/${at.name} is gone: no bundle can be signed`);
      }
      const first = Math.max(now(), lastSerial(secret) + 1, floor + 1);
      const annotations = { [LAST_SERIAL]: String(first + count - 1) };
      const { resourceVersion } = secret.metadata;
      try {
        known = await client.patch(SECRETS, at, { metadata: { resourceVersion, annotations } });
        return first;
      } catch (error) {
        known = null;
        if (!(error instanceof KubeError && error.reason === 'Conflict')) throw error;
      }
    }
    throw new KubeError(409, 'Conflict', 'others kept counting bundle serials at the same time');
  }

  function open(): NonNullable<typeof waiting> {
    const batch: Batch = { floor: 0, count: 0 };
    const first = flight.then(() => {
      waiting = null;
      return reserve(batch);
    });
    flight = first.catch(() => undefined);
    return Object.assign(batch, { first });
  }

  return {
    async next(floor) {
      waiting ??= open();
      const batch = waiting;
      batch.floor = Math.max(batch.floor, floor);
      const place = batch.count++;
      return (await batch.first) + place;
    },
  };
}

function lastSerial({ metadata }: Secret): number {
  const written = metadata.annotations?.[LAST_SERIAL] ?? '0';
  const serial = Number(written);
  if (/^\d+$/.test(written) && Number.isSafeInteger(serial)) return serial;
  throw new PortcullisError(
    'key_refused',
    `annotation ${LAST_SERIAL} of Secret ${metadata.namespace}/${metadata.name} is no whole number; remove it: serials then follow the clock`,
  );
}
