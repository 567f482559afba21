import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LabelSelector, selects } from './label-selector.ts';

const LABELS = { team: 'trading', stage: '' };

const cases: readonly [name: string, selector: Partial<LabelSelector>, selected: boolean][] = [
  ['nothing said', {}, true],
  ['a label', { matchLabels: { team: 'trading' } }, true],
  ['a label of another value', { matchLabels: { team: 'risk' } }, false],
  ['a label that is not there', { matchLabels: { owner: 'trading' } }, false],
  ['an empty value', { matchLabels: { stage: '' } }, true],
  ['an empty value where there is no label', { matchLabels: { owner: '' } }, false],
  ['a member of every object', { matchExpressions: [{ key: 'toString', operator: 'Exists', values: [] }] }, false],
  ['In', { matchExpressions: [{ key: 'team', operator: 'In', values: ['risk', 'trading'] }] }, true],
  ['In, another value', { matchExpressions: [{ key: 'team', operator: 'In', values: ['risk'] }] }, false],
  ['In, no label', { matchExpressions: [{ key: 'owner', operator: 'In', values: [''] }] }, false],
  ['NotIn', { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['risk'] }] }, true],
  ['NotIn, its value', { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['trading'] }] }, false],
  ['NotIn, no label', { matchExpressions: [{ key: 'owner', operator: 'NotIn', values: ['risk'] }] }, true],
  ['Exists', { matchExpressions: [{ key: 'stage', operator: 'Exists', values: [] }] }, true],
  ['Exists, no label', { matchExpressions: [{ key: 'owner', operator: 'Exists', values: [] }] }, false],
  ['DoesNotExist', { matchExpressions: [{ key: 'owner', operator: 'DoesNotExist', values: [] }] }, true],
  ['DoesNotExist, a label', { matchExpressions: [{ key: 'stage', operator: 'DoesNotExist', values: [] }] }, false],
  [
    'one of two holds',
    {
      matchLabels: { team: 'trading' },
      matchExpressions: [{ key: 'team', operator: 'In', values: ['risk'] }],
    },
    false,
  ],
];

for (const [name, selector, selected] of cases) {
  test(`${name}: ${selected ? 'selected' : 'not selected'}`, () => {
    assert.equal(selects({ matchLabels: {}, matchExpressions: [], ...selector }, LABELS), selected);
  });
}
