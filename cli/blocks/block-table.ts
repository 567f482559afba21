import type { BlockReport, BlockRow } from '../../sidecar/threats/block-report.ts';
import { relativeTime } from '../keys/relative-time.ts';
import { table } from '../kube/table.ts';

/** What one pod (or one process) said. */
export interface PodBlocks extends BlockReport {
  readonly pod: string;
}

/** A measure, by whom it was told: pods that share a store tell the same. */
export interface MergedBlock extends BlockRow {
  readonly policy: string;
  readonly mode: string;
  readonly pods: readonly string[];
}

/** One row a policy, subject and measure; of two ends the later. Those that end last first. */
export function mergeBlocks(reports: readonly PodBlocks[]): readonly MergedBlock[] {
  const merged = new Map<string, MergedBlock>();
  for (const { pod, policy, mode, blocks } of reports) {
    if (policy === null) continue;
    for (const block of blocks) {
      const id = JSON.stringify([policy, mode, block.measure, block.subject]);
      const before = merged.get(id);
      const later = before === undefined || before.until < block.until ? block : before;
      merged.set(id, { ...later, policy, mode, pods: [...(before?.pods ?? []), pod] });
    }
  }
  return [...merged.values()].sort((one, other) => (one.until < other.until ? 1 : -1));
}

/** For people: what is in force, and what has to be known about it. */
export function blocksText(reports: readonly PodBlocks[], now: number): string {
  const rows = mergeBlocks(reports).map(({ subject, measure, reason, until, policy, mode, pods }) => [
    subject,
    mode === 'Shadow' ? `${measure} (Shadow)` : measure,
    reason,
    relativeTime(Date.parse(until), now),
    policy,
    pods.length === reports.length ? 'all' : pods.join(','),
  ]);
  const notes = [
    [reports.every(({ policy }) => policy === null), 'no RateLimitPolicy here has penalties or threats'],
    [rows.length === 0 && reports.some(({ policy }) => policy !== null), 'nobody is blocked'],
    [
      reports.some(({ policy, store }) => policy !== null && store === 'memory'),
      'each pod blocks by itself: there is no store that they share',
    ],
    [
      reports.some(({ store }) => store === 'unavailable'),
      'the store does not answer: pods go by what they knew, and by what each has counted since',
    ],
  ] as const;
  return [
    rows.length === 0 ? '' : table([['SUBJECT', 'MEASURE', 'REASON', 'ENDS', 'POLICY', 'PODS'], ...rows]),
    ...notes.filter(([holds]) => holds).map(([, text]) => `${text}\n`),
  ].join('');
}
