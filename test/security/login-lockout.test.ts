import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { ask, closeAsking } from '../support/ask.ts';
import { type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';
import { PASSWORD, policyWith } from '../support/token-endpoints.ts';

const HOUR = 3_600_000;
let sidecar: SidecarUnderTest;

before(async () => {
  sidecar = await startSidecarUnderTest({
    ...policyWith(),
    limits: {
      clientIp: { trustedHops: 1, trustedProxies: [] },
      threats: { bruteForce: { failures: 2, withinMs: HOUR, keys: ['user'], blockMs: HOUR, paths: [] } },
    },
  });
});
after(async () => {
  closeAsking();
  await sidecar.stop();
});

const logIn = async (username: string, password: string, from: string) => {
  const body = JSON.stringify({ username, password });
  return ask(sidecar.port, { method: 'POST', path: '/auth/login', from, body });
};
/** A process that has just started is busy, and may say so. */
const firstLogIn = async (username: string, from: string) => {
  for (;;) {
    const answer = await logIn(username, PASSWORD, from);
    if (answer.code !== 'overloaded') return answer;
  }
};
const said = async (answer: ReturnType<typeof logIn>): Promise<string> => {
  const { status, code } = await answer;
  return code === '' ? String(status) : `${status} ${code}`;
};

it('guessing a password ends, and its owner works on: with a token, by refreshing it, and by logging in from where they work', async () => {
  const home = '192.0.2.1';
  const { access_token: token, refresh_token: refresh } = JSON.parse((await firstLogIn('ann', home)).body);

  assert.equal(await said(logIn('ann', 'a wrong password', '198.51.100.1')), '401 credentials_invalid');
  assert.equal(await said(logIn('Ann', 'another wrong one', '198.51.100.2')), '401 credentials_invalid');
  const blocked = await logIn('ann', PASSWORD, '198.51.100.3');
  assert.deepEqual([blocked.status, blocked.code], [429, 'blocked']);
  assert.match(String(blocked.headers['retry-after']), /^(3600|3599|3598)$/);

  assert.equal(await said(ask(sidecar.port, { path: '/orders', from: '198.51.100.9', token })), '200');
  const body = JSON.stringify({ refresh_token: refresh });
  assert.equal(
    await said(ask(sidecar.port, { method: 'POST', path: '/auth/refresh', from: '198.51.100.9', body })),
    '200',
  );
  assert.equal(await said(logIn('ann', PASSWORD, home)), '200');
  assert.equal(await said(logIn('eve', PASSWORD, '198.51.100.3')), '200', 'others are not meant');
});

it('a name that nobody has is refused alike, and the log says which name is under attack, never what was typed once', async () => {
  assert.equal(await said(logIn('hunter2hunter2', 'nobody', '198.51.100.4')), '401 credentials_invalid');
  for (const answer of ['401 credentials_invalid', '401 credentials_invalid', '429 blocked']) {
    assert.equal(await said(logIn('nobody', 'hunter2hunter2', '198.51.100.4')), answer);
  }
  const events = sidecar.log().filter((line) => line.includes('"security_event"'));
  assert.ok(events.some((line) => line.includes('"subject":"login=nobody"')));
  assert.doesNotMatch(sidecar.log().join('\n'), /hunter2|a wrong password|another wrong/);
});
