import assert from 'node:assert/strict';
import { it } from 'node:test';
import { readReview, reviewResponse } from './review.ts';

const uid = '705ab4f5-6393-11e8-b7cc-42010a800002';
const request = { uid, kind: { group: '', version: 'v1', kind: 'Pod' }, operation: 'CREATE' };
const review = (changes: object) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { ...request, ...changes },
});

it('fills in what a review leaves out', () => {
  const defaults = { namespace: '', dryRun: false, object: null, oldObject: null };
  assert.deepEqual(readReview(review({})), { ...request, ...defaults });
});

const unreadable: readonly (readonly [string, unknown])[] = [
  ['nothing', null],
  ['a text', 'AdmissionReview'],
  ['another version', { ...review({}), apiVersion: 'admission.k8s.io/v1beta1' }],
  ['no request', { ...review({}), request: undefined }],
  ['no kind', review({ kind: undefined })],
  ['a namespace that is no text', review({ namespace: 7 })],
];
for (const [name, body] of unreadable) it(`reads no review from ${name}`, () => assert.equal(readReview(body), null));

it('bounds warnings, so that all of them reach who asked', () => {
  const warnings = Array.from({ length: 40 }, () => 'x'.repeat(5_000));
  const { response } = reviewResponse(uid, { allowed: true, warnings }) as { response: { warnings: string[] } };
  assert.deepEqual([response.warnings.length, response.warnings[0]?.length], [16, 1_001]);
});
