import assert from 'node:assert/strict';
import { it } from 'node:test';
import { blocksText, mergeBlocks, type PodBlocks } from './block-table.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const block = (subject: string, minutes: number, measure: 'Block' | 'Throttle' = 'Block') => ({
  subject,
  measure,
  reason: 'bruteForce' as const,
  since: '2026-01-01T00:00:00Z',
  until: new Date(NOW + minutes * 60_000).toISOString(),
});
const pod = (name: string, more: Partial<PodBlocks>): PodBlocks => ({
  pod: name,
  policy: 'shop/standard',
  mode: 'Enforce',
  store: 'shared',
  blocks: [],
  ...more,
});

it('what pods that share a store say is one row, with the later end', () => {
  const merged = mergeBlocks([
    pod('a', { blocks: [block('ip=1', 5), block('user=x', 9, 'Throttle')] }),
    pod('b', { blocks: [block('ip=1', 6)] }),
  ]);
  assert.deepEqual(
    merged.map(({ subject, until, pods }) => [subject, until, pods]),
    [
      ['user=x', '2026-01-01T00:09:00.000Z', ['a']],
      ['ip=1', '2026-01-01T00:06:00.000Z', ['a', 'b']],
    ],
  );
});

it('two policies, or one in two modes, are not one row', () => {
  const blocks = [block('ip=1', 5)];
  const reports = [
    pod('a', { blocks }),
    pod('b', { blocks, policy: 'shop/other' }),
    pod('c', { blocks, mode: 'Shadow' }),
  ];
  assert.equal(mergeBlocks(reports).length, 3);
});

const texts: readonly (readonly [name: string, reports: readonly PodBlocks[], text: string])[] = [
  [
    'who, how, why, until when, and where',
    [
      pod('a', { blocks: [block('ip=192.0.2.1', 59)] }),
      pod('b', { blocks: [block('ip=192.0.2.1', 59), block('user=x', 5)] }),
    ],
    'SUBJECT       MEASURE  REASON      ENDS           POLICY         PODS\nip=192.0.2.1  Block    bruteForce  in 59 minutes  shop/standard  all\nuser=x        Block    bruteForce  in 5 minutes   shop/standard  b\n',
  ],
  ['nobody', [pod('a', {})], 'nobody is blocked\n'],
  [
    'no such policy',
    [pod('a', { policy: null, store: 'memory' })],
    'no RateLimitPolicy here has penalties or threats\n',
  ],
  [
    'each by itself',
    [pod('a', { store: 'memory' })],
    'nobody is blocked\neach pod blocks by itself: there is no store that they share\n',
  ],
  [
    'a store that is away',
    [pod('a', { store: 'unavailable' })],
    'nobody is blocked\nthe store does not answer: pods go by what they knew, and by what each has counted since\n',
  ],
];
for (const [name, reports, text] of texts) {
  it(`text: ${name}`, () => assert.equal(blocksText(reports, NOW), text));
}
