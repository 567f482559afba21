import { type CoverageCase, describeCoverage } from './testing/coverage-case.ts';
import { APP, examplePod as pod, exampleService as service } from './testing/coverage-objects.ts';

const ASK = { 'access-policy': 'orders' };

const values: readonly CoverageCase[] = [
  ...[
    ['capture', 'bind', 'write Takeover or Bind'],
    ['capture', 'Redirect', 'Redirect is not available yet'],
    ['harden', 'restricted', 'write Restricted or ReadOnly'],
    ['rollout', 'auto', 'write Auto or Report'],
    ['network-policy', 'true', 'write Generate'],
    ['bind-env', '1HOST', 'write the name of a variable'],
    ['skip-ports', 'a:b', '"a:b" is no port: write numbers or names'],
    [
      'acces-policy',
      'x',
      'portcullis.dev/acces-policy: there is no such annotation; did you mean portcullis.dev/access-policy?',
    ],
    ['issue-tokens', 'yes', '"yes" is of no use: write "true" or "false"'],
    ['bind-env', 'HOST', 'portcullis.dev/bind-env does nothing in Takeover: add portcullis.dev/capture: Bind'],
  ].map(([annotation = '', value = '', warning = '']) => ({
    name: `${annotation}: ${value}`,
    input: { services: [service('web', { ...ASK, [annotation]: value })] },
    reason: null,
    settings: {
      capture: 'Takeover' as const,
      harden: null,
      rollout: 'Report' as const,
      networkPolicy: null,
      bindEnv: null,
      issueTokens: false,
    },
    ports: ['8000/http'],
    warnings: [warning],
  })),
  ...(['access-policy', 'rate-limit-policy'] as const).map((annotation) => ({
    name: `${annotation} with a name that none can have`,
    input: { services: [service('web', { ...ASK, [annotation]: 'My Orders' })] },
    reason: 'PolicyNameInvalid' as const,
    deny: true,
    settings: null,
    warnings: [new RegExp(`^Service web: portcullis.dev/${annotation}: "My Orders" is of no use: write the name of`)],
  })),
  {
    name: 'bind-env replaces a value of the container’s own',
    input: {
      pod: pod(
        { ...ASK, capture: 'Bind', 'bind-env': 'HOST' },
        {
          containers: [
            { ...APP, env: [{ name: 'HOST', value: '0.0.0.0' }] },
            { name: 'fine', env: [{ name: 'HOST', value: '127.0.0.1' }] },
          ],
        },
      ),
    },
    settings: { bindEnv: 'HOST' },
    warnings: ['container app: HOST is set to 127.0.0.1 instead of 0.0.0.0'],
  },
  {
    name: 'our own annotations are not unknown',
    input: { pod: pod({ touched: 'x', 'restarted-at': 'x', injected: '{}' }), services: [service('web', ASK)] },
    warnings: [],
  },
];

const secrets: readonly CoverageCase[] = [
  {
    name: 'there: guarded',
    input: { services: [service('web', { ...ASK, 'required-secrets': 'bot/jwt_key, bot/other' })] },
    reason: null,
    settings: {
      requiredSecrets: [
        { secret: 'bot', key: 'jwt_key' },
        { secret: 'bot', key: 'other' },
      ],
    },
    warnings: [],
  },
  {
    name: 'missing: refuses',
    input: {
      services: [service('web', { ...ASK, 'required-secrets': 'bot/jwt_key,bot/other' })],
      hasSecretKey: (secret, key) => `${secret}/${key}` === 'bot/other',
    },
    reason: 'RequiredSecretMissing',
    ports: ['8000/http'],
    warnings: ['RequiredSecretMissing: bot/jwt_key: create it'],
  },
  {
    name: 'not known: guarded',
    input: { services: [service('web', { ...ASK, 'required-secrets': 'bot/jwt_key' })], hasSecretKey: () => null },
    reason: null,
  },
  {
    name: 'unreadable: counts as missing',
    input: { services: [service('web', { ...ASK, 'required-secrets': 'bot:jwt_key' })] },
    reason: 'RequiredSecretMissing',
    warnings: ['"bot:jwt_key" is no key of a Secret: write SECRET/KEY', 'RequiredSecretMissing: bot:jwt_key'],
  },
];

describeCoverage('values', values);
describeCoverage('required-secrets', secrets);
