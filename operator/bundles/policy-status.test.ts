import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Finding } from '../../policy/compile/finding.ts';
import type { Enforcement } from '../workloads/enforcement.ts';
import { type PolicyPicture, policyStatus } from './policy-status.ts';

const nobody: Enforcement = { matched: 0, current: 0, stale: 0, waiting: [], refused: [], restartRequired: [] };
const all: Enforcement = { ...nobody, matched: 2, current: 2 };
const good: PolicyPicture = {
  kind: 'AccessPolicy',
  name: 'orders',
  findings: [],
  notReady: null,
  inUse: { serial: 7, mode: 'Enforce', pods: all },
  secretName: 'portcullis-access-orders',
  secretMissing: null,
};
const running = (pods: Partial<Enforcement>, mode: 'Enforce' | 'Shadow' = 'Enforce'): Partial<PolicyPicture> => ({
  inUse: { serial: 7, mode, pods: { ...all, ...pods } },
});
const error = (code: Finding['code']): Finding => ({
  severity: 'error',
  code,
  path: ['spec', 'rules', 0],
  message: 'no',
});
const warning: Finding = { severity: 'warning', code: 'Invalid', path: ['spec'], message: 'odd' };
const broken = { reason: 'NotAccepted', message: 'not compiled: see Accepted' } as const;
const names = Array.from({ length: 12 }, (_, index) => `p${index}`);

describe('status of a policy', () => {
  const rows: readonly [name: string, change: Partial<PolicyPicture>, type: string, expected: string][] = [
    ['accepted', {}, 'Accepted', 'True Accepted '],
    ['accepted with a warning', { findings: [warning] }, 'Accepted', 'True Accepted warning: spec: odd'],
    ['one error', { findings: [error('RefNotFound')] }, 'Accepted', 'False RefNotFound spec.rules[0]: no'],
    [
      'errors before warnings, the gravest names it',
      { findings: [warning, error('RefNotFound'), error('Invalid')] },
      'Accepted',
      'False Invalid spec.rules[0]: no\nspec.rules[0]: no\nwarning: spec: odd',
    ],
    [
      'not permitted before not found',
      { findings: [error('RefNotFound'), error('RefNotPermitted')] },
      'Accepted',
      'False RefNotPermitted spec.rules[0]: no\nspec.rules[0]: no',
    ],
    ['written', {}, 'Ready', 'True Written Secret portcullis-access-orders holds serial 7'],
    [
      'last good',
      { notReady: broken },
      'Ready',
      'False NotAccepted not compiled: see Accepted; pods keep the last good one, serial 7',
    ],
    [
      'never good',
      { notReady: broken, inUse: null },
      'Ready',
      'False NotAccepted not compiled: see Accepted; there is no bundle yet, and pods that wait for it stay unready',
    ],
    [
      'not in force',
      { notReady: broken },
      'Enforced',
      'False NotReady the policy as written here is not in force: see Ready',
    ],
    ['in force', {}, 'Enforced', 'True Acknowledged all pods run serial 7'],
    [
      'in force, shadow',
      running({}, 'Shadow'),
      'Enforced',
      'False Shadow all pods run serial 7 and deny nothing; write mode: Enforce to deny',
    ],
    [
      'no pods',
      running(nobody),
      'Enforced',
      'False NoMatchingPods no running pod is under this policy; annotate a Service with portcullis.dev/access-policy: orders',
    ],
    [
      'no pods, limits',
      { kind: 'RateLimitPolicy', ...running(nobody) },
      'Enforced',
      'False NoMatchingPods no running pod is under this policy; annotate a Service with portcullis.dev/rate-limit-policy: orders',
    ],
    [
      'some wait',
      running({ current: 1, stale: 1, waiting: ['b: late'] }),
      'Enforced',
      'False Progressing 1 of 2 pods run serial 7; waiting for b: late',
    ],
    [
      'one refused',
      running({ current: 1, stale: 1, refused: ['b: bundle_unsigned'] }),
      'Enforced',
      'False Refused refused by b: bundle_unsigned',
    ],
    [
      'a restart',
      running({ restartRequired: ['b: why'] }),
      'Enforced',
      'False RestartRequired restart these pods: b: why',
    ],
    [
      'many wait',
      running({ matched: 12, current: 0, stale: 12, waiting: names }),
      'Enforced',
      `False Progressing 0 of 12 pods run serial 7; waiting for ${names.slice(0, 10).join(', ')} and 2 more`,
    ],
    ['fine', {}, 'Degraded', 'False AsExpected '],
    [
      'the application could go round it',
      { kind: 'RateLimitPolicy', egress: 'Asked' },
      'EgressEnforced',
      'False Advisory the sidecar sends on only what allow names, but nothing keeps the application from dialling out by itself; a NetworkPolicy that closes its egress to all but DNS and these brokers at least narrows that',
    ],
    ['no more', { kind: 'RateLimitPolicy', egress: 'Dropped' }, 'EgressEnforced', 'Unknown NoEgress '],
    ['never', { kind: 'RateLimitPolicy' }, 'EgressEnforced', 'undefined undefined undefined'],
    ['Secret missing', { secretMissing: 'Secret x' }, 'Degraded', 'True SecretMissing Secret x'],
    [
      'keys of an issuer that are old',
      running({ staleJwks: ['a: https://login.example/'] }),
      'Degraded',
      "True JWKSStale keys of issuers outside cannot be fetched, and onFailure decides: a: https://login.example/; the sidecar's log says why",
    ],
    [
      'a Secret before keys',
      { ...running({ staleJwks: ['a: https://login.example/'] }), secretMissing: 'Secret x' },
      'Degraded',
      'True SecretMissing Secret x',
    ],
  ];
  for (const [name, change, type, expected] of rows) {
    it(`${type}: ${name}`, () => {
      const found = policyStatus({ ...good, ...change }).conditions.find((condition) => condition.type === type);
      assert.equal(`${found?.status} ${found?.reason} ${found?.message}`, expected);
    });
  }

  it('counts pods', () => {
    const status = policyStatus({ ...good, ...running({ matched: 3, current: 1, stale: 2, waiting: ['a', 'b'] }) });
    assert.deepEqual(status.pods, { matched: 3, current: 1, stale: 2 });
    assert.deepEqual(policyStatus({ ...good, inUse: null }).pods, { matched: 0, current: 0, stale: 0 });
  });

  it('fits a condition however much is wrong', () => {
    const findings = Array.from({ length: 500 }, () => ({ ...error('Invalid'), message: 'x'.repeat(5000) }));
    const { message = '' } = policyStatus({ ...good, findings }).conditions[0] ?? {};
    assert.ok(message.length <= 32_768, String(message.length));
    assert.match(message, /\nand 400 more$/);
  });
});
