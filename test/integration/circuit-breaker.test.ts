import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LimitsBundle } from '../../policy/bundle/types.ts';
import { send } from '../support/raw-http.ts';
import { answerBytes, reset, staySilent, type UpstreamBehaviour } from '../support/recording-upstream.ts';
import { baseLimits, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const REQUEST = 'GET /orders HTTP/1.1\r\nHost: api\r\n\r\n';
const HANDSHAKE =
  'GET /ticks HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const OPEN_MS = 1_000;
const circuitBreaker = {
  failureRatio: 0.5,
  minimumRequests: 4,
  windowMs: 60_000,
  openForMs: OPEN_MS,
  halfOpenRequests: 1,
};
const status = (code: number): UpstreamBehaviour => answerBytes(`HTTP/1.1 ${code} X\r\ncontent-length: 0\r\n\r\n`);

async function withSidecar(
  limits: Partial<LimitsBundle>,
  body: (sidecar: SidecarUnderTest, ask: (bytes?: string) => Promise<string>) => Promise<void>,
): Promise<void> {
  const sidecar = await startSidecarUnderTest({
    limits: { timeouts: { connectMs: 300, requestMs: 200, idleMs: 300 }, ...limits },
  });
  /** The status and, where it is a problem, its code. */
  const ask = async (bytes = REQUEST): Promise<string> => {
    const answer = await send(sidecar.port, bytes);
    return answer.body.startsWith('{"type"')
      ? `${answer.status} ${JSON.parse(answer.body).code}`
      : String(answer.status);
  };
  try {
    await body(sidecar, ask);
  } finally {
    await sidecar.stop();
  }
}

async function metric({ adminPort }: SidecarUnderTest, name: string): Promise<string | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return new RegExp(`^${name}(?:\\{[^}]*\\})? (.+)$`, 'm').exec(text)?.[1];
}

describe('circuit breaker', { timeout: 60_000 }, () => {
  const failures: readonly (readonly [name: string, behaviour: UpstreamBehaviour, answer: string, bytes?: string])[] = [
    ['502 of the application', status(502), '502'],
    ['503 of the application', status(503), '503'],
    ['504 of the application', status(504), '504'],
    ['no answer in time', staySilent, '504 upstream_timeout'],
    ['a connection that is reset', reset(), '502 upstream_reset'],
    ['an answer that is no HTTP', answerBytes('HELLO\r\n\r\n'), '502 upstream_protocol'],
    ['a WebSocket handshake that fails', status(503), '503', HANDSHAKE],
  ];
  for (const [name, behaviour, answer, bytes] of failures) {
    it(`${name} counts; open, it is not asked; a trial that succeeds closes it`, async () => {
      await withSidecar({ circuitBreaker }, async (sidecar, ask) => {
        sidecar.upstream.behave(behaviour);
        for (let i = 0; i < 4; i++) assert.equal(await ask(bytes), answer);
        assert.equal(sidecar.upstream.requests.length, 4);
        const refused = await send(sidecar.port, REQUEST);
        assert.deepEqual([refused.status, JSON.parse(refused.body).code], [503, 'circuit_open']);
        assert.equal(refused.headers['retry-after'], '1');
        assert.equal(sidecar.upstream.requests.length, 4, 'the application was left alone');
        assert.equal(await metric(sidecar, 'portcullis_circuit_breaker_state'), '2');
        assert.equal(await metric(sidecar, 'portcullis_circuit_breaker_opens_total'), '1');
        await delay(OPEN_MS);
        assert.equal(await metric(sidecar, 'portcullis_circuit_breaker_state'), '1');
        sidecar.upstream.behave();
        assert.equal(await ask(), '200');
        assert.equal(await metric(sidecar, 'portcullis_circuit_breaker_state'), '0');
        assert.equal(await ask(), '200');
      });
    });
  }

  for (const code of [400, 404, 429, 500, 501]) {
    it(`${code} of the application is about the request: nothing opens`, async () => {
      await withSidecar({ circuitBreaker }, async (sidecar, ask) => {
        sidecar.upstream.behave(status(code));
        for (let i = 0; i < 6; i++) assert.equal(await ask(), String(code));
      });
    });
  }

  it('no connection counts too', async () => {
    await withSidecar({ circuitBreaker }, async (sidecar, ask) => {
      await sidecar.upstream.close();
      for (let i = 0; i < 4; i++) assert.equal(await ask(), '502 upstream_connect');
      assert.equal(await ask(), '503 circuit_open');
    });
  });

  it('a trial that fails opens it again', async () => {
    await withSidecar({ circuitBreaker }, async (sidecar, ask) => {
      sidecar.upstream.behave(status(503));
      for (let i = 0; i < 4; i++) await ask();
      await delay(OPEN_MS);
      assert.deepEqual([await ask(), await ask()], ['503', '503 circuit_open']);
      assert.equal(await metric(sidecar, 'portcullis_circuit_breaker_opens_total'), '2');
    });
  });

  it('what policy refuses says nothing about the application', async () => {
    const limit = {
      name: 'few',
      match: { hosts: [], paths: [], methods: [] },
      key: ['ip'],
      algorithm: 'SlidingWindow',
      rates: { anonymous: { limit: 1, windowMs: 60_000 }, authenticated: { limit: 1, windowMs: 60_000 } },
      burst: 0,
      onStoreFailure: 'LocalShare',
    } as const;
    await withSidecar({ circuitBreaker, limits: [limit] }, async (_, ask) => {
      assert.equal(await ask(), '200');
      for (let i = 0; i < 6; i++) assert.equal(await ask(), '429 rate_limited');
    });
  });

  it('a new bundle keeps its state; one without a breaker drops it', async () => {
    await withSidecar({ circuitBreaker }, async (sidecar, ask) => {
      sidecar.upstream.behave(status(503));
      for (let i = 0; i < 4; i++) await ask();
      await sidecar.publish({ limits: { circuitBreaker: { ...circuitBreaker, openForMs: 3_600_000 } } });
      assert.equal(await ask(), '503 circuit_open');
      await sidecar.publish({ limits: { timeouts: baseLimits.timeouts } });
      assert.equal(await ask(), '503');
      assert.equal(await metric(sidecar, 'portcullis_circuit_breaker_opens_total'), '1');
    });
  });

  it('Shadow counts and lets everything through', async () => {
    await withSidecar({ circuitBreaker, mode: 'Shadow' }, async (sidecar, ask) => {
      sidecar.upstream.behave(status(503));
      for (let i = 0; i < 8; i++) assert.equal(await ask(), '503');
      assert.equal(sidecar.upstream.requests.length, 8);
      assert.equal(await metric(sidecar, 'portcullis_circuit_breaker_state'), '2');
      assert.equal(await metric(sidecar, 'portcullis_shadow_denials_total'), '4');
    });
  });
});
