import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResource } from '../api/decode.ts';
import { formatPath } from '../api/problem.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import { API_VERSION } from '../api/resource.ts';
import { limitsBundle } from '../bundle/shape.ts';
import { compileLimits } from './compile-limits.ts';

function compile(spec: object) {
  const metadata = { namespace: 'shop', name: 'standard' };
  const decoded = decodeResource({ apiVersion: API_VERSION, kind: 'RateLimitPolicy', metadata, spec });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  return compileLimits(decoded.resource as RateLimitPolicy, {
    keySets: [],
    secrets: [],
    namespaces: [],
    defaultStore: null,
    defaultClientIp: null,
    storeOverride: null,
  });
}

const limits = [{ name: 'tight', key: ['ip'], rate: '1/1m' }];

describe('penalties and threats', () => {
  it('compile to milliseconds with every default filled in', () => {
    const { content, findings } = compile({
      limits,
      penalties: { after: 3 },
      threats: {
        bruteForce: { failures: 5 },
        abuse: { requests: 100, throttle: '10/1m' },
        scanning: { count: 50 },
        exfiltration: { bytes: '1024Mi' },
      },
    });
    assert.deepEqual(findings, []);
    assert.deepEqual(content?.penalties, {
      after: 3,
      withinMs: 600_000,
      blockMs: 60_000,
      multiplier: 2,
      maxMs: 3_600_000,
    });
    assert.deepEqual(content?.threats, {
      bruteForce: { failures: 5, withinMs: 300_000, keys: ['ip', 'user'], blockMs: 3_600_000, paths: [] },
      abuse: {
        requests: 100,
        withinMs: 60_000,
        key: 'user',
        throttle: { limit: 10, windowMs: 60_000 },
        forMs: 300_000,
      },
      scanning: { statuses: [401, 403, 404], count: 50, withinMs: 60_000, blockMs: 600_000 },
      exfiltration: { bytes: 2 ** 30, withinMs: 60_000, key: 'user' },
    });
    const bundle = { ...content, serial: 1 };
    assert.deepEqual(limitsBundle(JSON.parse(JSON.stringify(bundle)), ''), JSON.parse(JSON.stringify(bundle)));
  });

  it('a policy without them has no such members', () => {
    assert.deepEqual(
      Object.keys(compile({ limits }).content ?? {}).filter((key) => key === 'penalties' || key === 'threats'),
      [],
    );
  });

  const said: readonly (readonly [name: string, spec: object, severity: string, place: string, message: RegExp])[] = [
    [
      'a throttle at the rate that leads to it',
      { threats: { abuse: { requests: 100, throttle: '100/1m' } } },
      'error',
      'spec.threats.abuse.throttle',
      /100\/1m slows nobody down who sends 100 requests in 1m; write a lower rate, such as 10\/1m/,
    ],
    [
      'a throttle above it in other units',
      { threats: { abuse: { requests: 100, throttle: '2/1s' } } },
      'error',
      'spec.threats.abuse.throttle',
      /2\/1s slows nobody down/,
    ],
    [
      'threats without any',
      { threats: {} },
      'warning',
      'spec.threats',
      /write bruteForce, abuse, scanning or exfiltration/,
    ],
    ['penalties without limits', { penalties: { after: 3 } }, 'warning', 'spec.penalties', /blocks nobody/],
    [
      'penalties with limits that all share',
      { penalties: { after: 3 }, limits: [{ name: 'all', key: ['tier'], rate: '10/1m' }] },
      'warning',
      'spec.penalties',
      /add one, or remove penalties/,
    ],
  ];
  for (const [name, spec, severity, place, message] of said) {
    it(name, () => {
      const finding = compile(spec).findings.find(({ path }) => formatPath(path) === place);
      assert.equal(finding?.severity, severity);
      assert.match(finding?.message ?? '', message);
    });
  }
});
