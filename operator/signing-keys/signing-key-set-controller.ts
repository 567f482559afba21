import { ANNOTATIONS, KEY_SET_FINALIZER, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { mergeFindings } from '../../policy/compile/finding.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { keySetSpecOf } from '../../policy/keys/key-set-spec-of.ts';
import type { DeletionSpec, KeySetSpec } from '../../policy/keys/spec.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import { decoded } from '../bundles/gather-references.ts';
import { objectKeyOf } from '../bundles/policy-index.ts';
import { findingLines } from '../bundles/policy-status.ts';
import { recipientsInSecret } from '../escrow/recipients-secret.ts';
import {
  type EventRecord,
  type EventRecorder,
  type KubeClient,
  KubeError,
  type ObjectCache,
  type Reconcile,
  type Requeue,
} from '../kube/kube-client.ts';
import { type CustomResource, SIGNING_KEY_SETS, type SigningKeySetStatus } from '../resources.ts';
import { type FoundStatus, writeStatus } from '../status/conditions.ts';
import { nameOf } from '../workloads/pod-view.ts';
import type { KeySetMetrics } from './key-set-metrics.ts';
import { keySetStatus, unusableKeySetStatus } from './key-set-status.ts';
import { rivalOf, targetOf } from './key-set-targets.ts';
import { type ReconcileInput, type ReconcileResult, reconcileKeySet } from './reconcile-key-set.ts';
import { SecretKeySetStore } from './secret-key-set-store.ts';
import type { KeySetStoreClient } from './secret-key-set-store-secrets.ts';

/** What the controller of SigningKeySets works with. */
export interface SigningKeySetControllerOptions {
  readonly client: KeySetStoreClient & Pick<KubeClient, 'apply' | 'patch'>;
  readonly keySets: Pick<ObjectCache<CustomResource>, 'inNamespace'>;
  /** Where keyrings, outputs and escrows are kept. */
  readonly operatorNamespace: string;
  /** One entry for every counted pod that uses a key set (`namespace/name`), with the serial of it that it has loaded. */
  readonly acknowledgements: (keySet: string) => readonly Acknowledgement[];
  readonly events: EventRecorder;
  readonly metrics: KeySetMetrics;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly generateKey: ReconcileInput['generateKey'];
}

type Resource = CustomResource<SigningKeySetStatus>;

/** Recipients expire on a day that no event announces. */
const RECIPIENTS_AGAIN_MS = 86_400_000;
/** A Secret without the label is in no cache: nothing tells when it comes. */
const UNUSABLE_AGAIN_MS = 60_000;

/**
 * The controller of SigningKeySets: carries out the life of a key set's keys and says in its status how far it is. With
 * deletionPolicy Retain a key set that is deleted leaves everything behind, for another of its name to go on with; with Delete
 * a finalizer keeps it until its keys are gone. Throws what reconcileKeySet throws.
 */
export function signingKeySetController(options: SigningKeySetControllerOptions): Reconcile {
  return async (key) => {
    // Live: of a set that somebody has just saved from deletion nothing may be deleted, nor made of one that is gone.
    const object = await options.client.get(SIGNING_KEY_SETS, objectKeyOf(key));
    if (object === null || (isLeaving(object) && !isHeld(object))) {
      options.metrics.forget(key);
      return { afterMs: null };
    }
    const found = decoded(object);
    if ('resource' in found) return reconcile(options, object, found.resource as SigningKeySet);
    const message = findingLines(mergeFindings(found.problems, []));
    await say(options, object, unusableKeySetStatus('False', 'Invalid', message, object.status));
    return { afterMs: null };
  };
}

async function reconcile(
  options: SigningKeySetControllerOptions,
  found: Resource,
  resource: SigningKeySet,
): Promise<Requeue> {
  const { client, metrics, now } = options;
  const spec = keySetSpecOf(resource, deletionOf(found, resource));
  const conflict = conflictOf(options, found);
  if (conflict !== null && !wasInitialised(found)) {
    await say(options, found, unusableKeySetStatus('False', 'Conflicted', conflict, found.status));
    return { afterMs: null };
  }
  const object = isLeaving(found) ? found : await held(client, found, resource.spec.deletionPolicy === 'Delete');
  if (object === null) return { afterMs: null };
  const acknowledgements = options.acknowledgements(nameOf(object));
  const result = await carryOut(options, object, resource, spec, acknowledgements);
  if (result.end.kind === 'Release') {
    metrics.forget(nameOf(object));
    await held(client, object, false);
    return { afterMs: null };
  }
  if (result.outputs !== null) await markInitialised(client, object);
  if (result.keyring !== null) metrics.observe(spec, result.keyring);
  const { status: previous } = object;
  await say(options, object, keySetStatus({ spec, result, acknowledgements, conflict, previous, now: now() }));
  const times = [result.end.until, recipientsAgainAt(result, now())].filter((at) => at !== null);
  return { afterMs: times.length === 0 ? null : Math.max(0, Math.min(...times) - now()) };
}

async function carryOut(
  options: SigningKeySetControllerOptions,
  object: Resource,
  resource: SigningKeySet,
  spec: KeySetSpec,
  acknowledgements: readonly Acknowledgement[],
): Promise<ReconcileResult> {
  const { client, operatorNamespace, now, generateKey } = options;
  const { namespace, name, escrow } = spec;
  const place = { namespace, name, secretName: resource.spec.secretName };
  try {
    return await reconcileKeySet({
      spec,
      store: new SecretKeySetStore(client, operatorNamespace, place),
      now,
      generateKey,
      recipients: () => recipientsInSecret(client, { namespace, name: escrow?.recipientsSecret ?? '' }, now()),
      acknowledgements,
      onEvent: (event) => tell(options, object, event),
    });
  } catch (error) {
    const found = error instanceof PortcullisError ? unusable(error) : null;
    if (found !== null) await say(options, object, unusableKeySetStatus(...found, object.status));
    throw error;
  }
}

/** What conditions say of an error that a person must see to; null: it is none. */
function unusable({ code, message }: PortcullisError): ['True' | 'False', reason: string, message: string] | null {
  // Its name follows from that of the key set, which is the other thing to change.
  if (code === 'keyring_refused') return ['False', 'Conflicted', `metadata.name: ${message}`];
  return code === 'keyring_invalid' ? ['True', 'KeyringInvalid', message] : null;
}

function isLeaving({ metadata }: Resource): boolean {
  return metadata.deletionTimestamp !== undefined;
}

function isHeld({ metadata }: Resource): boolean {
  return metadata.finalizers?.includes(KEY_SET_FINALIZER) ?? false;
}

function wasInitialised({ metadata, status }: Resource): boolean {
  return metadata.annotations?.[OWN_ANNOTATIONS.initialised] !== undefined || status?.activeKey !== undefined;
}

function deletionOf(object: Resource, { metadata, spec }: SigningKeySet): DeletionSpec | null {
  if (!isLeaving(object)) return null;
  const uid = metadata.annotations?.[ANNOTATIONS.forceDelete];
  return { policy: spec.deletionPolicy, forced: uid !== undefined && uid === metadata.uid };
}

/** Why another key set has the target of this one rather. One that has keys goes on with them: the store overwrites nothing. */
function conflictOf({ keySets }: SigningKeySetControllerOptions, object: Resource): string | null {
  if (isLeaving(object)) return null;
  const rival = rivalOf(object, keySets.inNamespace(object.metadata.namespace ?? ''));
  if (rival === null) return null;
  return `spec.secretName: Secret ${targetOf(object)} is already that of SigningKeySet ${rival.metadata.name}, which is older; write another name`;
}

/** The object with our finalizer or without; null: it is gone. */
async function held(client: Pick<KubeClient, 'patch'>, object: Resource, wanted: boolean): Promise<Resource | null> {
  if (isHeld(object) === wanted) return object;
  const { finalizers = [], resourceVersion } = object.metadata;
  const others = finalizers.filter((finalizer) => finalizer !== KEY_SET_FINALIZER);
  // A patch replaces the whole list: only over the one that was read.
  return patchMetadata(client, object, {
    resourceVersion,
    finalizers: wanted ? [...others, KEY_SET_FINALIZER] : others,
  });
}

async function markInitialised(client: Pick<KubeClient, 'patch'>, object: Resource): Promise<void> {
  const { annotations = {}, uid } = object.metadata;
  if (annotations[OWN_ANNOTATIONS.initialised] === 'true') return;
  await patchMetadata(client, object, { uid, annotations: { [OWN_ANNOTATIONS.initialised]: 'true' } });
}

async function patchMetadata(
  client: Pick<KubeClient, 'patch'>,
  { metadata: { namespace = '', name } }: Resource,
  metadata: object,
): Promise<Resource | null> {
  try {
    return await client.patch(SIGNING_KEY_SETS, { namespace, name }, { metadata });
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'NotFound') return null;
    throw error;
  }
}

function recipientsAgainAt({ recipients }: ReconcileResult, now: number): number | null {
  if (recipients.kind === 'Off') return null;
  return now + (recipients.kind === 'Usable' ? RECIPIENTS_AGAIN_MS : UNUSABLE_AGAIN_MS);
}

/** Writes the status, and an Event when it is degraded in another way than before and no event has said so. */
async function say(
  options: SigningKeySetControllerOptions,
  object: Resource,
  status: FoundStatus<SigningKeySetStatus>,
): Promise<void> {
  const { client, metrics, now } = options;
  const unready = status.conditions.find(({ type, status }) => type === 'Ready' && status === 'False');
  metrics.halted(nameOf(object), unready?.reason ?? null);
  const before = object.status?.conditions?.find(isDegraded);
  const found = status.conditions.find(isDegraded);
  if (found !== undefined && found.reason !== before?.reason && found.reason !== 'ActivatedWithLaggards') {
    const { reason, message } = found;
    const event = unready === undefined ? { reason, message } : { reason: 'Halted', message: `${reason}: ${message}` };
    tell(options, object, { type: 'Warning', ...event });
  }
  await writeStatus(client, SIGNING_KEY_SETS, object, status, now());
}

function isDegraded({ type, status }: { readonly type: string; readonly status: string }): boolean {
  return type === 'Degraded' && status === 'True';
}

function tell(
  { events }: SigningKeySetControllerOptions,
  { metadata }: Resource,
  { type, reason, message }: Omit<EventRecord, 'about'>,
): void {
  const { apiVersion, kind } = SIGNING_KEY_SETS;
  // Messages quote what was written, and terminals obey control characters.
  events.record({ about: { apiVersion, kind, metadata }, type, reason, message: message.replace(/\p{Cc}+/gu, ' ') });
}
