import { ANNOTATIONS, LABELS } from '../../policy/api/names.ts';
import type { Namespace } from '../kube/objects.ts';
import { type Asked, type AskedSettings, SETTING_NAMES } from './coverage-annotations.ts';
import { CANDIDATE_SETTINGS } from './coverage-candidates.ts';

/** How much a namespace leaves to those who work in it. */
export interface NamespacePolicy {
  readonly word: 'Required' | 'Default' | 'Disabled';
  readonly warnings: readonly string[];
}

/** Reads the label `portcullis.dev/policy`; a word that does not exist is read as the strictest one. */
export function namespacePolicy({ metadata }: Namespace): NamespacePolicy {
  const text = metadata.labels?.[LABELS.policy] ?? 'Default';
  const words = ['Required', 'Default', 'Disabled'] as const;
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return { word, warnings: [] };
  const warning = `namespace ${metadata.name}: label ${LABELS.policy}: ${JSON.stringify(text)} is read as Required; write Required, Default or Disabled`;
  return { word: 'Required', warnings: [warning] };
}

/** What the objects around a pod ask for, as one. */
export interface Resolved {
  readonly settings: Partial<AskedSettings>;
  /** Which Services say different things, and what to do; null: they agree. */
  readonly conflict: string | null;
  /** What was asked for and refused. */
  readonly warnings: readonly string[];
}

/**
 * Resolves each setting by itself: the nearest object that says something decides (pod, Services, namespace); where the namespace
 * is Required, what it says cannot be replaced. Services that differ, with nothing nearer to decide, conflict.
 */
export function resolveSettings(pod: Asked, services: readonly Asked[], namespace: Asked, required: boolean): Resolved {
  const settings: Record<string, string | boolean> = {};
  const warnings: string[] = [];
  let conflict: string | null = null;
  for (const setting of SETTING_NAMES) {
    const annotation = ANNOTATIONS[setting];
    const says = (asked: Asked): string => `${asked.holder} says ${asked.settings[setting]}`;
    const tiers = (required ? [[namespace], [pod], services] : [[pod], services, [namespace]])
      .map((tier) => tier.filter((asked) => asked.settings[setting] !== undefined))
      .filter((tier) => tier.length > 0);
    const [first] = tiers[0] ?? [];
    const value = first?.settings[setting];
    if (first === undefined || value === undefined) continue;
    settings[setting] = value;
    const differs = (asked: Asked): boolean => asked.settings[setting] !== value;
    const other = tiers[0]?.find(differs);
    if (other && CANDIDATE_SETTINGS.some((candidate) => candidate === setting)) {
      delete settings[setting];
      warnings.push(`${annotation}: ${says(first)}, ${says(other)}: none is tried; write the same on both`);
    } else if (other) {
      conflict ??= `Conflicted: ${annotation}: ${says(first)}, ${says(other)}, and a pod has one sidecar; write the same on both, or write it on the pod template`;
    }
    if (first !== namespace || !required) continue;
    for (const refused of tiers.slice(1).flat().filter(differs))
      warnings.push(`OptOutRefused: ${annotation}: ${says(refused)}, but ${says(namespace)} and is labelled Required`);
  }
  return { settings: settings as Partial<AskedSettings>, conflict, warnings };
}

/** What to say of annotations that do nothing without an access policy; null: there are none. */
export function guardsNothingAlone(settings: Partial<AskedSettings>): string | null {
  const alone = (['rateLimitPolicy', ...CANDIDATE_SETTINGS] as const).find(
    (setting) => settings[setting] !== undefined,
  );
  if (alone === undefined) return null;
  return `${ANNOTATIONS[alone]} alone guards nothing: add ${ANNOTATIONS.accessPolicy}: NAME`;
}

/** What those near the pod ask to be left out, and a Required namespace refuses; one sentence each. */
export function refusedOptOuts(nearer: readonly Asked[], namespace: Asked): string[] {
  return nearer.flatMap(({ holder, optOut, skipPorts }) => {
    const refused = [...(optOut ? [ANNOTATIONS.inject] : []), ...(skipPorts.length > 0 ? [ANNOTATIONS.skipPorts] : [])];
    return refused.map(
      (annotation) => `OptOutRefused: ${holder}: ${annotation} does nothing: ${namespace.holder} is labelled Required`,
    );
  });
}
