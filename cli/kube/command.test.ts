import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runKubeCommand } from './command.ts';

test('what a terminal would obey does not reach it', async () => {
  const written: string[] = [];
  const io = {
    stdout: { write: (text: string) => written.push(text) },
    stderr: { write: (text: string) => written.push(text) },
    now: () => 0,
  };
  const kubeconfig = `${import.meta.dirname}/\u001b[2Jno-such-file`;
  const command = { name: 'test', help: '', flags: {}, arguments: [], run: async () => 0 };
  assert.equal(await runKubeCommand(command, ['--kubeconfig', kubeconfig], io), 2);
  assert.match(written.join(''), /no-such-file/);
  assert.doesNotMatch(written.join(''), /\u001b/);
});
