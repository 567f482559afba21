import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileCors, compileSecurityHeaders } from './compile-response-headers.ts';
import { Findings } from './finding.ts';

function compiled(preset: 'Strict' | 'Api' | 'None', override: Record<string, string> = {}) {
  const findings = new Findings();
  return { headers: new Map(compileSecurityHeaders({ preset, override }, findings)), findings: findings.all };
}

describe('security headers', () => {
  it('Strict forbids what a page of its own origin does not need', () => {
    const { headers } = compiled('Strict');
    assert.match(headers.get('content-security-policy')!, /^default-src 'self'; .*frame-ancestors 'none'/);
    assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin');
    assert.match(headers.get('permissions-policy')!, /^accelerometer=\(\), .*serial=\(\)$/);
  });

  it('Api lets nothing be shown', () => {
    const { headers } = compiled('Api');
    assert.equal(headers.get('content-security-policy'), "default-src 'none'; frame-ancestors 'none'");
    assert.equal(headers.has('permissions-policy'), false);
  });

  it('Off adds none but the overrides', () => {
    assert.deepEqual([...compiled('None', { 'X-Robots-Tag': 'none' }).headers], [['x-robots-tag', 'none']]);
  });

  it('an override replaces by name whatever the case, an empty one leaves out', () => {
    const { headers } = compiled('Api', { 'X-Frame-Options': 'SAMEORIGIN', 'CACHE-CONTROL': '' });
    assert.equal(headers.get('x-frame-options'), 'SAMEORIGIN');
    assert.equal(headers.has('cache-control'), false);
  });

  it('one header written twice is refused', () => {
    const [finding] = compiled('None', { 'X-A': '1', 'x-a': '2' }).findings;
    assert.deepEqual(finding?.path, ['spec', 'securityHeaders', 'override', 'x-a']);
  });
});

describe('CORS', () => {
  it('is compared in lower case and counts in milliseconds', () => {
    const cors = compileCors({
      origins: ['https://app.example'],
      methods: ['GET'],
      headers: ['Authorization'],
      exposeHeaders: ['X-Request-ID'],
      credentials: true,
      maxAge: '10m',
    });
    assert.deepEqual([cors?.headers, cors?.maxAgeMs], [['authorization'], 600_000]);
    assert.equal(compileCors(undefined), null);
  });
});
