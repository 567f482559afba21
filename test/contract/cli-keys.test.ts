import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runKeys } from '../../cli/keys/run-keys.ts';
import { runRevoke } from '../../cli/keys/run-revoke.ts';
import { runRotate } from '../../cli/keys/run-rotate.ts';
import { keySetObject } from '../../cli/keys/testing/key-set-object.ts';
import { memoryIo } from '../../cli/keys/testing/memory-io.ts';
import type { HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { NAMESPACES } from '../../operator/kube/objects.ts';
import { until } from '../../operator/kube/testing/until.ts';
import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { ANNOTATIONS } from '../../policy/api/names.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';
import { connect } from './policy-operator.ts';

const COMMANDS = { keys: runKeys, rotate: runRotate, revoke: runRevoke };
const SPEC = keySetObject().spec;

test('keys, rotate and revoke on a kube-apiserver', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  await installCrds(server);
  const client = connect(server);
  t.after(() => client.close());
  for (const name of ['auth', 'shop']) await client.create(NAMESPACES, { metadata: { name } });
  const bench = new Bench(client, server.kubeconfig);

  await t.test('keys shows sets and keys', () => shows(bench));
  await t.test('rotate sets the annotation, and sees the new key sign', () => rotates(bench));
  await t.test('revoke asks on the terminal', () => asks(bench));
  await t.test('revocations made at once, beside a busy operator, are all kept', () => races(bench));
  await t.test('what may not be done is said in one line', (t) => forbidden(t, server, bench));
});

async function shows(bench: Bench): Promise<void> {
  await bench.create('shows');
  const list = await bench.run('keys', '-n', 'auth');
  assert.equal(list.code, 0);
  assert.match(list.out, /^NAME +ALGORITHM +READY +ACTIVE .*\nshows +ES256 +yes +active +standby +/);
  assert.match((await bench.run('keys', 'sks/shows', '-n', 'auth')).out, /^ {2}active +Active +ES256 /m);
  const all = await bench.run('keys', '-A', '-o', 'json');
  assert.deepEqual(
    JSON.parse(all.out).map(({ name, keys }: { name: string; keys: unknown[] }) => [name, keys.length]),
    [['shows', 3]],
  );
  assert.match((await bench.run('keys', '-n', 'shop')).out, /^No SigningKeySet in namespace shop\.\n$/);
  const wrong = await bench.run('keys', 'show', '-n', 'auth');
  assert.deepEqual([wrong.code, wrong.err], [2, 'portcullis keys: no SigningKeySet auth/show; did you mean shows?\n']);
  assert.match((await bench.run('keys', 'shows', '-A')).err, /leave it or --all-namespaces out/);
}

async function rotates(bench: Bench): Promise<void> {
  const before = await bench.create('rotates');
  const running = bench.run('rotate', 'rotates', '-n', 'auth', '--wait', '-o', 'json');
  const asked = async () => (await bench.get('rotates')).metadata.annotations?.[ANNOTATIONS.rotateRequestedAt];
  await until('the rotation is asked for', async () => (await asked()) !== undefined);
  await bench.say('rotates', { activeKey: 'standby' });
  const { code, out } = await running;
  const answer = JSON.parse(out);
  assert.deepEqual([code, answer.activeKey, answer.rotated, answer.requestedAt], [0, 'standby', true, await asked()]);
  assert.deepEqual((await bench.get('rotates')).spec, before.spec);
  const { out: again } = await bench.run('rotate', 'rotates', '-n', 'auth', '-o', 'json');
  assert.ok(JSON.parse(again).requestedAt > answer.requestedAt, 'each request is another one');
}

async function asks(bench: Bench): Promise<void> {
  await bench.create('asks');
  const argv = ['asks', 'active', '--reason', 'it "leaked"', '-n', 'auth'] as const;
  bench.answer = 'n\n';
  const no = await bench.run('revoke', ...argv);
  assert.equal(no.code, 1);
  assert.match(no.err, /it signs now: .*\n.*\nRevoke it\? \[y\/N\] portcullis revoke: nothing was changed\n$/);
  assert.deepEqual(await bench.revocations('asks'), []);
  bench.answer = 'yes\n';
  assert.equal((await bench.run('revoke', ...argv)).code, 0);
  assert.deepEqual(await bench.revocations('asks'), [{ kid: 'active', reason: 'it "leaked"' }]);
  const bad = await bench.run('revoke', 'asks', 'no/kid', '--reason', 'x', '--yes', '--unknown', '-n', 'auth');
  assert.equal(bad.code, 2);
  assert.match(bad.err, /write the kid exactly as the JWKS shows it/);
}

async function races(bench: Bench): Promise<void> {
  await bench.create('races');
  const kids = Array.from({ length: 8 }, (_, index) => `kid-${index}`);
  let busy = true;
  const operator = (async () => {
    for (let serial = 8; busy; serial++) {
      await bench.say('races', { serial });
      await sleep(20);
    }
  })();
  const flags = ['--reason', 'race', '--yes', '--unknown', '-n', 'auth'];
  const runs = await Promise.all(kids.map((kid) => bench.run('revoke', 'races', kid, ...flags)));
  busy = false;
  await operator;
  for (const { code, err } of runs) assert.equal(code, 0, err);
  assert.deepEqual((await bench.revocations('races')).map(({ kid }) => kid).sort(), kids);
}

async function forbidden(t: TestContext, server: ApiServer, bench: Bench): Promise<void> {
  await bench.create('closed');
  const path = '/api/v1/namespaces/auth/serviceaccounts';
  await server.request('POST', path, { metadata: { name: 'nobody' } });
  const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const { body } = await server.request('POST', `${path}/nobody/token`, asked);
  const { token } = (body as { readonly status: { readonly token: string } }).status;
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-nobody-'));
  t.after(() => rm(directory, { recursive: true }));
  const config = JSON.parse(await readFile(server.kubeconfig, 'utf8'));
  config.users[0].user = { token };
  await writeFile(join(directory, 'kubeconfig'), JSON.stringify(config));
  const nobody = new Bench(bench.client, join(directory, 'kubeconfig'));
  for (const [command, ...argv] of [
    ['keys', '-n', 'auth'],
    ['rotate', 'closed', '-n', 'auth'],
    ['revoke', 'closed', 'active', '--reason', 'x', '--yes', '-n', 'auth'],
  ] as const) {
    const { code, out, err } = await nobody.run(command, ...argv);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, new RegExp(`^portcullis ${command}: .*forbidden.*signingkeysets.*\\n$`));
  }
}

/** Key sets in namespace auth, and the commands as a person with a kubeconfig runs them. */
class Bench {
  answer = '';
  readonly client: HttpsKubeClient;
  readonly #kubeconfig: string;

  constructor(client: HttpsKubeClient, kubeconfig: string) {
    this.client = client;
    this.#kubeconfig = kubeconfig;
  }

  async run(command: keyof typeof COMMANDS, ...argv: readonly string[]) {
    const io = memoryIo(Date.now);
    const { answer } = this;
    const typed = (async function* () {
      yield Buffer.from(answer);
    })();
    const stdin = Object.assign(typed, { isTTY: true });
    const code = await COMMANDS[command](['--kubeconfig', this.#kubeconfig, ...argv], { ...io, stdin });
    return { code, out: io.out(), err: io.err() };
  }

  async create(name: string) {
    await this.client.create(SIGNING_KEY_SETS, { metadata: { namespace: 'auth', name }, spec: SPEC });
    return this.say(name, {});
  }

  /** Writes the status as the operator does. */
  say(name: string, changes: object) {
    const { apiVersion, kind } = SIGNING_KEY_SETS;
    const status = { ...keySetObject().status, ...changes };
    const object = { apiVersion, kind, metadata: { namespace: 'auth', name }, status };
    return this.client.apply(SIGNING_KEY_SETS, object, 'status');
  }

  async get(name: string) {
    const object = await this.client.get(SIGNING_KEY_SETS, { namespace: 'auth', name });
    assert.ok(object !== null);
    return object;
  }

  async revocations(name: string) {
    return ((await this.get(name)).spec as { readonly revocations: readonly { readonly kid: string }[] }).revocations;
  }
}
