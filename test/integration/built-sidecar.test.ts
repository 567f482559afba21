import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { send } from '../support/raw-http.ts';
import { recordingUpstream } from '../support/recording-upstream.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { PASSWORD, policyWith } from '../support/token-endpoints.ts';

const ROOT = join(import.meta.dirname, '..', '..');

it('the program of the image computes bcrypt in its thread, which is in the one file too', {
  timeout: 120_000,
}, async (t) => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build.ts', 'sidecar'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  const upstream = await recordingUpstream();
  t.after(() => upstream.close());
  await using sidecar = await startSidecarProcess({
    program: join(ROOT, 'dist', 'sidecar.mjs'),
    upstreams: [upstream.port],
    policy: policyWith(),
    issueTokens: true,
  });
  const { traffic } = await sidecar.ports();
  const login = (password: string) => {
    const body = JSON.stringify({ username: 'ann', password });
    const head = 'POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    const bytes = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    return send(traffic[0] ?? 0, bytes, { timeoutMs: 20_000 });
  };
  const wrong = await login('wrong');
  assert.equal(JSON.parse(wrong.body).code, 'credentials_invalid', wrong.body);
  const { access_token: token } = JSON.parse((await login(PASSWORD)).body);
  const bytes = `GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  assert.equal((await send(traffic[0] ?? 0, bytes)).status, 200);
});
