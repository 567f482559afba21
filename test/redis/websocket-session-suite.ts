import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { WebSocketSession, WebSocketSessions } from '../../sidecar/stores/websocket-sessions.ts';

/** What every WebSocketSessions promises; `sessions` gives those of any replica. */
export function websocketSessionSuite(name: string, sessions: () => WebSocketSessions): void {
  let users = 0;
  const newUser = (): string => `user=${users++}`;

  it(`${name}: gives out as many places as the limit says, and each again when it is given back`, async () => {
    const user = newUser();
    const open: WebSocketSession[] = [];
    for (let i = 0; i < 3; i++) open.push((await sessions().open(user, 3)) ?? assert.fail('within the limit'));
    assert.equal(await sessions().open(user, 3), null);
    open.pop()?.close();
    await settled();
    assert.notEqual(await sessions().open(user, 3), null);
    assert.equal(await sessions().open(user, 3), null);
  });

  it(`${name}: as many when they are asked for at once`, async () => {
    const user = newUser();
    const opened = await Promise.all(Array.from({ length: 20 }, () => sessions().open(user, 7)));
    assert.equal(opened.filter((session) => session !== null).length, 7);
  });

  it(`${name}: users are apart, whatever their names hold`, async () => {
    for (const user of [newUser(), 'user=a:{b}', 'ip=2001:db8::/64', "user='; FLUSHALL", 'user=\0\r\n']) {
      assert.notEqual(await sessions().open(user, 1), null, user);
      assert.equal(await sessions().open(user, 1), null, user);
    }
  });

  it(`${name}: a limit that is lowered closes nothing and lets no more in`, async () => {
    const user = newUser();
    const first = await sessions().open(user, 2);
    await sessions().open(user, 2);
    assert.equal(await sessions().open(user, 1), null);
    first?.close();
    await settled();
    assert.equal(await sessions().open(user, 1), null);
  });
}

/** Giving back is not waited for. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
