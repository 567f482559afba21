import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { type SidecarProcess, startSidecarProcess } from '../support/sidecar-process.ts';
import { rule } from '../support/sidecar-under-test.ts';

const MAIN = join(import.meta.dirname, '../../sidecar/main.ts');
const schema = { type: 'object', properties: { text: { type: 'string' } } };
const policy = {
  access: {
    rules: [
      {
        ...rule('notes', ['/notes'], [{ anonymous: true }]),
        body: { contentTypes: ['application/json'], maxBytes: 65_536, schema, rules: [] },
      },
    ],
  },
};

/** `explain POST /notes` as `kubectl exec` runs it: standard input stays open. */
async function explain({ root }: SidecarProcess, bytes: string, body: string): Promise<string> {
  const argv = [MAIN, 'explain', '--body-bytes', bytes, 'POST', '/notes'];
  const child = spawn(process.execPath, argv, { env: { ...process.env, PORTCULLIS_ROOT: root } });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(String(data)));
  child.stdin.on('error', () => {}); // it was not read
  child.stdin.write(body);
  await new Promise((done) => child.on('exit', done));
  child.stdin.destroy();
  return said.join('');
}

it('explains a body that comes on standard input', { timeout: 60_000 }, async () => {
  await using sidecar = await startSidecarProcess({ policy });
  await sidecar.ports();
  const good = '{"text":"é"}';
  assert.match(
    await explain(sidecar, String(Buffer.byteLength(good)), good),
    /^validate-body: pass\n {2}the body is as the rule demands\nresult: forwarded to the application$/m,
  );
  assert.match(
    await explain(sidecar, '10', '{"text":1}'),
    /^validate-body: body_invalid\n {2}\/text: must be string\nresult: 400 body_invalid$/m,
  );
  const large = JSON.stringify({ text: '"'.repeat(32_762) });
  assert.equal(large.length, 65_535);
  assert.match(await explain(sidecar, '65535', large), /^validate-body: pass$/m);
  assert.match(await explain(sidecar, '65537', 'x'), /^--body-bytes must be a whole number up to 65536; see /);
});
