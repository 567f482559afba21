import { decodeResource } from '../../policy/api/decode.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { mergeFindings } from '../../policy/compile/finding.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { keySetSpecOf } from '../../policy/keys/key-set-spec-of.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import { findingLines } from '../bundles/policy-status.ts';
import type { EventRecord, EventRecorder, KubeClient, ObjectCache, Reconcile, Requeue } from '../kube/kube-client.ts';
import { type CustomResource, SIGNING_KEY_SETS, type SigningKeySetStatus } from '../resources.ts';
import { type FoundStatus, writeStatus } from '../status/conditions.ts';
import type { KeySetMetrics } from './key-set-metrics.ts';
import { keySetStatus, unusableKeySetStatus } from './key-set-status.ts';
import { type ReconcileInput, reconcileKeySet } from './reconcile-key-set.ts';
import { SecretKeySetStore } from './secret-key-set-store.ts';

/** What the controller of SigningKeySets works with. */
export interface SigningKeySetControllerOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace' | 'apply'>;
  readonly keySets: Pick<ObjectCache<CustomResource<SigningKeySetStatus>>, 'get'>;
  /** Where keyrings and outputs are kept. */
  readonly operatorNamespace: string;
  /** One entry for every counted pod that verifies with a key set (`namespace/name`), with the serial of it that it has loaded. */
  readonly acknowledgements: (keySet: string) => readonly Acknowledgement[];
  readonly events: EventRecorder;
  readonly metrics: KeySetMetrics;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly generateKey: ReconcileInput['generateKey'];
}

type Resource = CustomResource<SigningKeySetStatus>;

/** Bookkeeping between a decision and the next, of no interest to people. */
const QUIET: ReadonlySet<string> = new Set(['OutputsWritten', 'OutputsConfirmed', 'GracesExtended']);

/**
 * The controller of SigningKeySets: carries out the life of a key set's keys and says in its status how far it is. A key set
 * that is deleted leaves its keyring and outputs behind (deletionPolicy Retain). Throws what reconcileKeySet throws.
 */
export function signingKeySetController(options: SigningKeySetControllerOptions): Reconcile {
  return async (key) => {
    const [namespace = '', name = ''] = key.split('/');
    const object = options.keySets.get({ namespace, name });
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) {
      options.metrics.forget(key);
      return { afterMs: null };
    }
    const { apiVersion, kind } = SIGNING_KEY_SETS;
    const decoded = decodeResource({ ...object, apiVersion, kind });
    if ('resource' in decoded) return reconcile(options, object, decoded.resource as SigningKeySet);
    const message = findingLines(mergeFindings(decoded.problems, []));
    await say(options, object, unusableKeySetStatus('Invalid', 'Invalid', message, object.status));
    return { afterMs: null };
  };
}

async function reconcile(
  options: SigningKeySetControllerOptions,
  object: Resource,
  resource: SigningKeySet,
): Promise<Requeue> {
  const { client, operatorNamespace, now, generateKey, metrics } = options;
  const spec = keySetSpecOf(resource);
  const acknowledgements = options.acknowledgements(`${spec.namespace}/${spec.name}`);
  const store = new SecretKeySetStore(client, operatorNamespace, spec);
  try {
    const result = await reconcileKeySet({ spec, store, now, generateKey, acknowledgements });
    for (const { type, reason, message } of result.events) {
      if (!QUIET.has(reason)) record(options, object, type, reason, message);
    }
    if (result.keyring !== null) metrics.observe(spec, result.keyring);
    await say(options, object, keySetStatus(spec, result, acknowledgements, object.status));
    return { afterMs: result.nextAt === null ? null : Math.max(0, result.nextAt - now()) };
  } catch (error) {
    if (error instanceof PortcullisError && error.code === 'keyring_invalid') {
      await say(options, object, unusableKeySetStatus('Accepted', 'KeyringInvalid', error.message, object.status));
    }
    throw error;
  }
}

/** Writes the status, and an Event when it is degraded in another way than before and no event has said so. */
async function say(
  options: SigningKeySetControllerOptions,
  object: Resource,
  status: FoundStatus<SigningKeySetStatus>,
): Promise<void> {
  const before = object.status?.conditions?.find(isDegraded);
  const found = status.conditions.find(isDegraded);
  if (found !== undefined && found.reason !== before?.reason && found.reason !== 'ActivatedWithLaggards') {
    record(options, object, 'Warning', found.reason, found.message);
  }
  await writeStatus(options.client, SIGNING_KEY_SETS, object, status, options.now());
}

function isDegraded({ type, status }: { readonly type: string; readonly status: string }): boolean {
  return type === 'Degraded' && status === 'True';
}

function record(
  { events }: SigningKeySetControllerOptions,
  { metadata }: Resource,
  type: EventRecord['type'],
  reason: string,
  message: string,
): void {
  const { apiVersion, kind } = SIGNING_KEY_SETS;
  events.record({ about: { apiVersion, kind, metadata }, type, reason, message });
}
