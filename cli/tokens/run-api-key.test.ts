import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { apiKeyHash, isApiKey } from '../../policy/credentials/api-key.ts';
import { memoryIo } from '../keys/testing/memory-io.ts';
import { runApiKey } from './run-api-key.ts';

const NOW = Date.parse('2026-11-21T12:00:00.5Z');

async function run(...argv: string[]) {
  const io = memoryIo(() => NOW);
  const code = await runApiKey(argv, io);
  return { code, out: io.out(), err: io.err() };
}

describe('portcullis api-key generate', () => {
  it('prints a key and the line of its hash', async () => {
    const { code, out, err } = await run(
      'generate',
      '--subject',
      'ann: "a"',
      '--roles',
      'trader, viewer',
      '--tenant',
      'acme',
      '--tier',
      'gold',
      '--expires-in',
      '24h',
    );
    assert.deepEqual([code, err], [0, '']);
    const [key = '', line = '', ...more] = out.split('\n');
    assert.ok(isApiKey(key));
    assert.deepEqual(parse(line), [
      {
        sha256: apiKeyHash(key),
        subject: 'ann: "a"',
        roles: ['trader', 'viewer'],
        tenant: 'acme',
        tier: 'gold',
        expires: '2026-11-22T12:00:00Z',
      },
    ]);
    assert.deepEqual(more, ['']);
  });

  it('no two are alike', async () => {
    const [one, two] = [await run('generate', '--subject', 'ann'), await run('generate', '--subject', 'ann')];
    assert.notEqual(one.out, two.out);
  });

  const wrong: readonly (readonly [name: string, argv: string[], message: RegExp])[] = [
    ['no verb', ['--subject', 'ann'], /write portcullis api-key generate/],
    ['another verb', ['revoke', '--subject', 'ann'], /write portcullis api-key generate/],
    ['nobody', ['generate'], /--subject SUB is required/],
    ['a subject that breaks lines', ['generate', '--subject', 'a\nb'], /--subject must have 1 to 256 characters/],
    ['an empty role', ['generate', '--subject', 'ann', '--roles', 'a,,b'], /--roles must have 1 to 256/],
    [
      'an end that is no duration',
      ['generate', '--subject', 'ann', '--expires-in', '90 days'],
      /--expires-in must be a duration/,
    ],
    ['a flag in other words', ['generate', '--subject', 'ann', '--role', 'x'], /did you mean --roles/],
  ];
  for (const [name, argv, message] of wrong) {
    it(`${name}: exit code 2 and no key`, async () => {
      const { code, out, err } = await run(...argv);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, message);
    });
  }
});
