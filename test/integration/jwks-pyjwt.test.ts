import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { type RunningLocal, startLocal } from '../../cli/local/start-local.ts';
import { issuerOf, mintToken } from '../../cli/token/mint-token.ts';
import { JwksServer } from '../../operator/jwks/jwks-server.ts';
import { PublishedKeySets } from '../../operator/jwks/testing/published-key-sets.ts';
import type { JwtAlgorithm } from '../../policy/bundle/types.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { memoryLog } from '../support/memory-log.ts';
import { pythonWith } from '../support/python-venv.ts';
import { portOf } from '../support/sidecar-under-test.ts';

const ROTATIONS = 3;
const ISSUER = 'https://auth.trading.example';
/** C. Such a client keeps what it has fetched for no longer, whatever it meets. */
const CACHE_SECONDS = 1;
const TERMS = { issuer: ISSUER, audiences: ['trading-api'], maxTokenLifetimeMs: 10_000 };

/**
 * Verifies the tokens of each line of standard input, a JSON list, by each URL of the command line: with a client that has
 * fetched nothing yet, and with one that keeps the keys for C. A key that the latter does not have it would fetch before its time
 * only after 30 s without a fetch (`cooldown_duration`), which never comes here: it fails.
 */
const PROGRAM = `
import json, sys, jwt
lifespan, urls = int(sys.argv[1]), sys.argv[2:]
kept = {url: jwt.PyJWKClient(url, lifespan=lifespan) for url in urls}
def verify(client, token):
    key = client.get_signing_key_from_jwt(token)
    jwt.decode(token, key, algorithms=[key.algorithm_name], audience="trading-api", issuer="${ISSUER}")
for line in sys.stdin:
    failed, count = [], 0
    for token in json.loads(line):
        for url in urls:
            for client in (jwt.PyJWKClient(url, cache_jwk_set=False), kept[url]):
                try:
                    verify(client, token)
                    count += 1
                except Exception as error:
                    failed.append(f"{url} {'kept' if client is kept[url] else 'fresh'}: {error!r}")
    print(json.dumps({"count": count, "failed": failed}), flush=True)
`;

interface Verdict {
  readonly count: number;
  readonly failed: readonly string[];
}

const found = await pythonWith(['PyJWT[crypto]==2.15.1', 'cryptography==50.0.2']);
const directory = await mkdtemp(join(tmpdir(), 'portcullis-jwks-pyjwt-'));
after(() => rm(directory, { recursive: true }));

const cases: readonly (readonly [name: string, algorithms: readonly JwtAlgorithm[]])[] = [
  ['of the same algorithm', ['ES256', 'ES256', 'ES256', 'ES256']],
  ['to another algorithm each time', ['EdDSA', 'PS256', 'ES384', 'RS256']],
];
for (const [name, algorithms] of cases) {
  test(`PyJWKClient verifies tokens over ${ROTATIONS} rotations ${name}`, { timeout: 120_000 }, async (t) => {
    if ('reason' in found) return skipOrFail(t, found.reason);
    const policies = join(directory, name.replaceAll(' ', '-'));
    await mkdir(policies);
    await writePolicies(policies, algorithms[0]!);
    const local = await startLocal(
      {
        policies,
        upstream: { host: '127.0.0.1', port: 9 },
        listen: { host: '127.0.0.1', port: 0 },
        admin: { host: '127.0.0.1', port: 0 },
        state: `${policies}-state`,
        accessPolicy: null,
        rateLimitPolicy: null,
        redisUrl: null,
      },
      { sink: memoryLog(), say: () => {}, now: Date.now, version: 'test' },
    );
    t.after(() => local.stop());
    const caches = new PublishedKeySets();
    caches.declare('default', 'trading', { jwksMaxAge: `${CACHE_SECONDS}s`, issuer: ISSUER });
    const server = new JwksServer({
      sources: caches,
      externalUrl: null,
      registry: new Registry(),
      random: Math.random,
    });
    const port = await server.listen(0);
    t.after(() => server.stop());
    const urls = [
      `http://127.0.0.1:${portOf(local.sidecar)}/.well-known/jwks.json`,
      `http://127.0.0.1:${port}/jwks/default/trading`,
    ];
    const verifier = startVerifier(found.python, urls);
    t.after(() => verifier.child.kill());

    const newest = new Map<string, { readonly token: string; readonly until: number }>();
    let verified = 0;
    let olderKeys = 0;
    const began = Date.now();
    // As long again as the last key waits for its first tokens: by then the first of all has retired.
    for (let lastSeen = began; newest.size <= ROTATIONS || Date.now() < lastSeen + 1_000; await sleep(50)) {
      assert.ok(Date.now() < began + 90_000, `only ${newest.size} keys have signed`);
      const { issuing, ...outputs } = outputsOf(local);
      caches.publish('default', 'trading', { ...outputs, issuing });
      assert.ok(issuing !== null);
      const now = Date.now();
      const token = await mintToken(await issuerOf(TERMS, issuing), {
        claims: { sub: 'u1' },
        now,
        expiresInMs: TERMS.maxTokenLifetimeMs,
        jti: String(now),
      });
      if (!newest.has(issuing.kid)) {
        lastSeen = now;
        await writePolicies(policies, algorithms[newest.size + 1] ?? algorithms.at(-1)!);
      }
      newest.set(issuing.kid, { token, until: now + TERMS.maxTokenLifetimeMs - 2_000 });
      const alive = [...newest.values()].filter(({ until }) => until > now);
      const { count, failed } = await verifier.ask(alive.map((each) => each.token));
      assert.deepEqual(failed, []);
      verified += count;
      olderKeys += alive.length - 1;
    }
    assert.ok(olderKeys > 0, 'no token of an older key was left');
    console.log(`  ${verified} verifications, ${newest.size} keys, ${Math.round((Date.now() - began) / 1000)} s`);
  });
}

function outputsOf({ keys, policies: { keySets } }: RunningLocal) {
  return keys.outputsOf(keySets[0]!) ?? assert.fail('no key yet');
}

async function writePolicies(policies: string, algorithm: JwtAlgorithm): Promise<void> {
  const text = `apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: {name: trading}
spec:
  algorithm: ${algorithm}
  issuer: ${ISSUER}
  audiences: [trading-api]
  maxTokenLifetime: 10s
  propagation: 1s
  jwksMaxAge: ${CACHE_SECONDS}s
  clockSkew: 0s
  rotation: {period: 3s, prePublish: 2s}
---
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: orders}
spec:
  tokens: {keySetRef: {name: trading}}
`;
  await writeFile(join(policies, 'all.yaml'), text);
}

function startVerifier(python: string, urls: readonly string[]) {
  const child: ChildProcessWithoutNullStreams = spawn(python, ['-c', PROGRAM, String(CACHE_SECONDS), ...urls]);
  child.stderr.pipe(process.stderr);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    child,
    async ask(tokens: readonly string[]): Promise<Verdict> {
      child.stdin.write(`${JSON.stringify(tokens)}\n`);
      const { value, done } = await lines.next();
      assert.ok(!done, 'Python ended');
      return JSON.parse(value) as Verdict;
    },
  };
}
