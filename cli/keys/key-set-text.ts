import { table } from '../kube/table.ts';
import type { KeyReport, KeySetReport } from './key-set-report.ts';
import { moment } from './relative-time.ts';

const HEADS = ['NAME', 'ALGORITHM', 'READY', 'ACTIVE', 'NEXT', 'NEXT ROTATION', 'ESCROW'];
const KEY_HEADS = ['  KID', 'STATE', 'ALGORITHM', 'CREATED', 'SINCE', 'REMOVED AFTER'];

/** Key sets as a table, and below it what each of them waits for. `now`: epoch milliseconds. */
export function listText(reports: readonly KeySetReport[], isEveryNamespace: boolean, now: number): string {
  const named = (report: KeySetReport) => (isEveryNamespace ? `${report.namespace}/${report.name}` : report.name);
  const rows = reports.map((report) => [
    named(report),
    report.algorithm,
    readiness(report),
    report.activeKey ?? '-',
    report.nextKey ?? '-',
    nextRotation(report, now),
    escrow(report),
  ]);
  const concerns = reports.flatMap((report) =>
    report.waitsFor.map(({ reason, message }) => `${named(report)}: ${reason}: ${message}\n`),
  );
  return [table([HEADS, ...rows]), ...concerns].join('');
}

/** All of one key set. `now`: epoch milliseconds. */
export function detailText(report: KeySetReport, now: number): string {
  const { namespace, name, algorithm, serial, pods, keys, waitsFor } = report;
  const facts = [
    ['  algorithm', algorithm],
    ['  ready', readiness(report)],
    ['  serial', String(serial ?? '-')],
    ['  next rotation', nextRotation(report, now)],
    ['  pods', `${pods.current} of ${pods.matched} have this serial`],
    ['  escrow', [escrow(report), ...(report.escrow?.recipients ?? [])].join(' ')],
  ];
  const keyRows = keys.map((key) => [
    `  ${key.kid}`,
    key.state,
    key.algorithm,
    moment(key.createdAt, now),
    since(key, now),
    key.removedAfter === null ? '-' : moment(key.removedAfter, now),
  ]);
  return [
    `${namespace}/${name}\n`,
    table(facts),
    keys.length === 0 ? '  no keys\n' : `\n${table([KEY_HEADS, ...keyRows])}`,
    waitsFor.length === 0 ? '' : '\nWaits for:\n',
    ...waitsFor.map(({ reason, message }) => `  ${reason}: ${message}\n`),
  ].join('');
}

function readiness({ ready, degraded }: KeySetReport): string {
  if (!ready) return 'no';
  return degraded ? 'degraded' : 'yes';
}

function nextRotation({ suspended, nextRotation }: KeySetReport, now: number): string {
  if (suspended) return 'suspended';
  if (nextRotation === null) return '-';
  return Date.parse(nextRotation) < now ? `due ${moment(nextRotation, now)}` : moment(nextRotation, now);
}

function escrow({ escrow }: KeySetReport): string {
  if (escrow === null) return 'none';
  const { length } = escrow.recipients;
  return length === 0 ? 'missing' : length === 1 ? '1 recipient' : `${length} recipients`;
}

/** Since when a key is in its state. */
function since({ state, activatedAt, retiredAt }: KeyReport, now: number): string {
  const time = state === 'Active' ? activatedAt : retiredAt;
  if (time === null) return '-';
  return `${state === 'Active' ? 'active' : 'retired'} ${moment(time, now)}`;
}
