import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Decoded, decodeResource } from '../api/decode.ts';
import { formatPath } from '../api/problem.ts';
import { circuitBreakerShape } from '../bundle/circuit-breaker.ts';
import { connectionsShape } from '../bundle/connections.ts';
import { compileLimits } from './compile-limits.ts';

const references = {
  keySets: [],
  secrets: [],
  namespaces: [],
  defaultStore: null,
  defaultClientIp: null,
  storeOverride: null,
};

const decode = (spec: object): Decoded =>
  decodeResource({ apiVersion: 'portcullis.dev/v1alpha1', kind: 'RateLimitPolicy', metadata: { name: 'x' }, spec });

function compiled(spec: object) {
  const decoded = decode(spec);
  if (!('resource' in decoded) || decoded.resource.kind !== 'RateLimitPolicy') throw new Error(JSON.stringify(decoded));
  return compileLimits(decoded.resource, references);
}

describe('connections and circuitBreaker', () => {
  it('come into the bundle with their defaults, in bytes and milliseconds', () => {
    const connections = { websocketPerUser: 10, messagesPerSecond: 50, maxMessageBytes: '1Mi', idleTimeout: '5m' };
    const { content, findings } = compiled({ connections, circuitBreaker: {} });
    assert.deepEqual(findings, []);
    assert.deepEqual(content?.connections, {
      websocketPerUser: 10,
      messagesPerSecond: 50,
      maxMessageBytes: 1_048_576,
      idleTimeoutMs: 300_000,
      perPod: 5_000,
      perAddress: 1_000,
    });
    assert.deepEqual(content?.circuitBreaker, {
      failureRatio: 0.5,
      minimumRequests: 20,
      windowMs: 10_000,
      openForMs: 30_000,
      halfOpenRequests: 3,
    });
    assert.deepEqual(connectionsShape(content?.connections, ''), content?.connections);
    assert.deepEqual(circuitBreakerShape(content?.circuitBreaker, ''), content?.circuitBreaker);
  });

  it('what a policy leaves out is absent, so that a sidecar before them takes its bundle', () => {
    const { content } = compiled({});
    assert.ok(content !== null && !('connections' in content) && !('circuitBreaker' in content));
    assert.deepEqual(compiled({ connections: {} }).content?.connections, { perPod: 5_000, perAddress: 1_000 });
  });

  it('a rate of messages without their size is worth a warning', () => {
    const { findings } = compiled({ connections: { messagesPerSecond: 5 } });
    assert.deepEqual(
      findings.map(({ path, severity }) => [formatPath(path), severity]),
      [['spec.connections.messagesPerSecond', 'warning']],
    );
  });

  const refused: readonly (readonly [spec: object, problem: RegExp])[] = [
    [
      { connections: { websocketPerUser: 0 } },
      /^spec\.connections\.websocketPerUser: must be from 1 to 100000, not 0$/,
    ],
    [{ connections: { websocketPerUser: 2.5 } }, /websocketPerUser: must be a whole number, not 2\.5/],
    [{ connections: { messagesPerSecond: '50' } }, /messagesPerSecond: must be a whole number, not "50"/],
    [
      { connections: { maxMessageBytes: 1024 } },
      /maxMessageBytes: must be a string, not 1024; put it in quotes: "1024"/,
    ],
    [{ connections: { maxMessageBytes: '1MB' } }, /maxMessageBytes: write a size such as 512, 64Ki or 1Mi/],
    [{ connections: { maxMessageBytes: '0' } }, /maxMessageBytes: write a size/],
    [{ connections: { idleTimeout: '10ms' } }, /idleTimeout: must be from 1s to 24h/],
    [{ connections: { idleTimeout: '5 minutes' } }, /idleTimeout: write a duration such as/],
    [
      { connections: { perPod: 100 } },
      /^spec\.connections: perAddress must not be above perPod; lower it \(its default is 1000\)/,
    ],
    [{ connections: { websocketsPerUser: 3 } }, /websocketsPerUser: unknown field.*websocketPerUser/],
    [{ circuitBreaker: { failureRatio: 0 } }, /failureRatio: must be from 0\.01 to 1, not 0/],
    [{ circuitBreaker: { failureRatio: 50 } }, /failureRatio: must be from 0\.01 to 1, not 50/],
    [{ circuitBreaker: { failureRatio: '50%' } }, /failureRatio: must be a number, not "50%"/],
    [{ circuitBreaker: { window: '1h' } }, /window: must be from 1s to 10m/],
    [{ circuitBreaker: { openFor: '0s' } }, /openFor: must be from 1s to 1h/],
    [{ circuitBreaker: { halfOpenRequests: 0 } }, /halfOpenRequests: must be from 1 to 1000/],
    [{ timeouts: { connect: '0s' } }, /timeouts\.connect: must be longer than 0s/],
  ];
  for (const [spec, problem] of refused) {
    it(`refuses ${JSON.stringify(spec)}`, () => {
      const decoded = decode(spec);
      assert.ok('problems' in decoded);
      const texts = decoded.problems.map(({ path, message }) => `${formatPath(path)}: ${message}`);
      assert.ok(
        texts.some((text) => problem.test(text)),
        texts.join('\n'),
      );
    });
  }

  const bent: readonly (readonly [what: string, check: () => unknown])[] = [
    ['no caps', () => connectionsShape({ perPod: 1 }, 'connections')],
    ['a cap of 0', () => connectionsShape({ perPod: 0, perAddress: 1 }, 'connections')],
    ['an unknown member', () => connectionsShape({ perPod: 1, perAddress: 1, perUser: 1 }, 'connections')],
    ['a ratio of 0', () => circuitBreakerShape({ ...BREAKER, failureRatio: 0 }, 'circuitBreaker')],
    ['a ratio of 2', () => circuitBreakerShape({ ...BREAKER, failureRatio: 2 }, 'circuitBreaker')],
    [
      'a ratio that is no number',
      () => circuitBreakerShape({ ...BREAKER, failureRatio: Number.NaN }, 'circuitBreaker'),
    ],
    ['a window of 0', () => circuitBreakerShape({ ...BREAKER, windowMs: 0 }, 'circuitBreaker')],
  ];
  for (const [what, check] of bent) it(`a bundle with ${what} is refused`, () => assert.throws(check));
});

const BREAKER = { failureRatio: 1, minimumRequests: 1, windowMs: 1, openForMs: 1, halfOpenRequests: 1 };
