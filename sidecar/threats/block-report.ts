import { PortcullisError } from '../../policy/errors.ts';
import type { Policies } from '../enforcement-options.ts';
import type { Block } from '../stores/blocks.ts';
import type { Stores } from '../stores/open-stores.ts';
import type { SecurityLog } from './security-log.ts';
import { measuresOf } from './threat-layers.ts';

/** One measure in force, for people and programs. */
export interface BlockRow extends Pick<Block, 'measure' | 'subject' | 'reason'> {
  /** RFC 3339, UTC. */
  readonly since: string;
  readonly until: string;
}

/** What the process knows of measures. */
export interface BlockReport {
  /** namespace/name of the RateLimitPolicy; null: there is none, or it names no penalties and no threats. */
  readonly policy: string | null;
  /** Shadow: they are counted and refuse nobody. */
  readonly mode: string;
  /** Where they are held: shared by all pods of the policy, or by this one alone. */
  readonly store: 'shared' | 'unavailable' | 'memory';
  readonly blocks: readonly BlockRow[];
}

/** What was cleared. */
export interface ClearReport {
  readonly cleared: readonly string[];
  /** False: the shared store did not answer; other pods go on refusing, and this one may begin again. */
  readonly everywhere: boolean;
}

type Held = { readonly policies: Policies | null; readonly stores: Stores | null };

const MAX_SUBJECTS = 1_000;

/** The measures in force; `now`: epoch milliseconds. */
export function reportBlocks({ policies, stores }: Held, now: number): BlockReport {
  const limits = policies?.limits ?? null;
  const blocks = measuresOf(limits, stores);
  if (limits === null || stores === null || blocks === null) {
    return { policy: null, mode: 'Enforce', store: 'memory', blocks: [] };
  }
  return {
    policy: `${limits.namespace}/${limits.name}`,
    mode: limits.mode,
    store: !stores.shared ? 'memory' : stores.limiter.available ? 'shared' : 'unavailable',
    blocks: blocks.list(now).map(({ measure, subject, reason, since, until }) => ({
      measure,
      subject,
      reason,
      since: rfc3339(since),
      until: rfc3339(until),
    })),
  };
}

/** Ends measures. Rejects with PortcullisError `config_invalid` for what is no such request. */
export async function clearBlocks(
  { policies, stores }: Held,
  request: unknown,
  now: number,
  log: SecurityLog,
): Promise<ClearReport> {
  const subjects = subjectsOf(request);
  const limits = policies?.limits ?? null;
  const blocks = measuresOf(limits, stores);
  if (limits === null || blocks === null) return { cleared: [], everywhere: true };
  const cleared = await blocks.clear(subjects, now);
  const policy = `${limits.namespace}/${limits.name}`;
  log('blocks_cleared', now, { policy, count: cleared.subjects.length, everywhere: cleared.everywhere });
  return { cleared: cleared.subjects, everywhere: cleared.everywhere };
}

function subjectsOf(request: unknown): readonly string[] | null {
  if (typeof request === 'object' && request !== null && 'subjects' in request) {
    const { subjects } = request;
    if (subjects === null) return null;
    const texts = Array.isArray(subjects) && subjects.every((subject) => typeof subject === 'string');
    if (texts && subjects.length > 0 && subjects.length <= MAX_SUBJECTS) return subjects;
  }
  throw new PortcullisError(
    'config_invalid',
    `write {"subjects": […]} with 1 to ${MAX_SUBJECTS} of them, or null for all`,
  );
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
