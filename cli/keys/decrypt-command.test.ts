import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decryptWith } from './decrypt-command.ts';

test('a shell command reads the message and its output is what was in it', async () => {
  const message = 'message\n'.repeat(8000);
  assert.equal(await decryptWith('read first; echo "$first" | tr a-z A-Z', message), 'MESSAGE\n');
  assert.equal(await decryptWith('head -c 5', message), 'messa');
});

const failing: readonly { name: string; command: string; says: RegExp }[] = [
  {
    name: 'what it says is said, in its last lines, and not what it prints',
    command: 'echo secret; for n in 1 2 3 4; do echo "no key $n" >&2; done; exit 2',
    says: /^`echo secret; .*` failed: no key 2; no key 3; no key 4$/,
  },
  { name: 'a failure without a word', command: 'cat; exit 3', says: /failed: exit code 3$/ },
  { name: 'no such program', command: 'no-such-gpg --decrypt', says: /failed: .*no-such-gpg.*not found/ },
  { name: 'killed', command: 'kill -9 $$', says: /failed: exit code null$/ },
  { name: 'one that prints for ever', command: 'yes', says: /printed more than 65536 bytes; that is no key$/ },
];

for (const { name, command, says } of failing) {
  test(`refused: ${name}`, async () => {
    const error = await decryptWith(command, 'message').then(
      () => assert.fail('accepted'),
      (error: Error & { code?: string }) => error,
    );
    assert.equal(error.code, 'config_invalid');
    assert.match(error.message, says);
    assert.doesNotMatch(error.message.replace(command, ''), /secret|message/);
  });
}
