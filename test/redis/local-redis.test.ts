import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { RedisServer, redisMissing } from './redis-server.ts';

const PASSWORD = 'right-password';
const WRONG_PASSWORD = 'wrong-password';
const DEADLINE_MS = 20_000;

const POLICIES = `apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: open}
spec:
  rules:
    - {name: all, match: {paths: ["/**"]}, allow: [{anonymous: true}]}
---
apiVersion: portcullis.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: standard}
spec:
  store: {redis: {secretRef: {name: redis}}}
  limits:
    - {name: all, key: [ip], rate: 10/1h}
`;

const secret = (url: string, label = 'true') => `---
apiVersion: v1
kind: Secret
metadata: {name: redis, labels: {portcullis.dev/allow-reference: "${label}"}}
stringData: {url: "${url}"}
`;

describe('the store of portcullis local', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let directory = '';
  let run = 0;
  let cwd = '';

  before(async () => {
    redis = await RedisServer.start(PASSWORD);
    directory = await mkdtemp(join(tmpdir(), 'portcullis-local-redis-'));
  });
  beforeEach(async () => {
    cwd = join(directory, String(run++));
    await mkdir(join(cwd, 'policies'), { recursive: true });
  });
  after(async () => {
    await redis.remove();
    await rm(directory, { recursive: true });
  });

  /** Runs the command on these policies until it ends by itself or has said `until`; everything that it said. */
  const portcullisLocal = async (policies: string, flags: readonly string[], until: RegExp) => {
    await writeFile(join(cwd, 'policies', 'all.yaml'), policies);
    const main = join(import.meta.dirname, '../../cli/main.ts');
    const addresses = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--upstream', 'http://127.0.0.1:9'];
    const child = spawn(process.execPath, [main, 'local', '--policies', 'policies', ...addresses, ...flags], { cwd });
    let said = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (!child.killed && until.test(said)) child.kill('SIGTERM');
      });
    }
    const [code] = await once(child, 'close');
    clearTimeout(timer);
    return { code: code as number | null, said };
  };
  const at = (password: string) => `redis://:${password}@127.0.0.1:${redis.port}`;

  const refused: readonly (readonly [
    name: string,
    policies: () => string,
    flags: readonly string[],
    message: RegExp,
  ])[] = [
    [
      'no Redis URL',
      () => POLICIES,
      ['--redis', `http://:${WRONG_PASSWORD}@127.0.0.1`],
      /--redis must be a URL such as redis:\/\/127\.0\.0\.1:6379/,
    ],
    [
      'a missing Secret',
      () => POLICIES,
      [],
      /all\.yaml:12:\d+ spec\.store\.redis\.secretRef\.name: Secret default\/redis does not exist; add it, with the URL as its key url/,
    ],
    [
      'a Secret that does not allow it',
      () => POLICIES + secret(at(WRONG_PASSWORD), 'false'),
      [],
      /Secret default\/redis may not be read by policies; give it the label portcullis\.dev\/allow-reference: "true"/,
    ],
    [
      'a Secret with another kind of URL',
      () => POLICIES + secret(`https://:${WRONG_PASSWORD}@127.0.0.1`),
      [],
      /Secret default\/redis has a key url that is no URL of a Redis; write url: redis:\/\/HOST:6379/,
    ],
  ];
  for (const [name, policies, flags, message] of refused) {
    it(`does not start with ${name}, and says what to write`, async () => {
      const { code, said } = await portcullisLocal(policies(), flags, /Portcullis guards/);
      assert.equal(code, 2, said);
      assert.match(said, message);
      assert.ok(!said.includes(WRONG_PASSWORD), said);
    });
  }

  it('says that a password is wrong, without it, and serves', async () => {
    const { code, said } = await portcullisLocal(
      POLICIES,
      ['--redis', at(WRONG_PASSWORD)],
      /^(?=[\s\S]*WRONGPASS)(?=[\s\S]*guards)/,
    );
    assert.equal(code, 0, said);
    assert.match(said, /"reason":"WRONGPASS".*store does not answer, onStoreFailure decides/);
    assert.ok(!said.includes(WRONG_PASSWORD), said);
  });

  it('reads the URL from the Secret', async () => {
    const { code, said } = await portcullisLocal(
      POLICIES + secret(at(PASSWORD)),
      [],
      /^(?=[\s\S]*store answers)(?=[\s\S]*guards)/,
    );
    assert.equal(code, 0, said);
    assert.ok(!said.includes('does not answer') && !said.includes(PASSWORD), said);
  });
});
