import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { readOperatorConfig } from './config-file.ts';
import { CONFIG_FILE } from './testing/config-file.ts';

const ENV = { POD_NAMESPACE: 'portcullis', POD_NAME: 'operator-0' };

test('reads the file and the pod identity', () => {
  const config = readOperatorConfig(CONFIG_FILE, ENV);
  assert.equal(config.namespace, 'portcullis');
  assert.equal(config.defaults.storeSecret, null);
  assert.deepEqual(config.defaults.clientIp, { trustedHops: 1, trustedProxies: ['10.0.0.0/8'] });
  assert.deepEqual(config.jwks, { port: 8090, externalUrl: 'https://keys.example.com' });
  assert.deepEqual(config.sidecar.resources.limits, { memory: '256Mi' });
});

test('says everything that is wrong at once', () => {
  const file = parse(CONFIG_FILE);
  file.sidecar.trafficPort = 0;
  file.webhook.certificate = 'Own';
  file.defaults.capture = 'Takover';
  file.jwks.externalUrl = 'keys.example.com/';
  delete file.leaseName;
  assert.throws(() => readOperatorConfig(stringify(file), { POD_NAME: 'x' }), {
    code: 'config_invalid',
    message: [
      'sidecar.trafficPort: must be from 1 to 65535, not 0',
      'defaults.capture: must be one of Takeover, Bind, not "Takover"; did you mean Takeover?',
      'webhook.certificate: unknown field; did you mean certificates?',
      'jwks.externalUrl: write an http or https URL without a slash at the end, such as https://keys.example.com',
      'leaseName: is required: The Lease by which one replica leads.',
      'POD_NAMESPACE: is not set; take it from the downward API',
    ].join('\n'),
  });
});

test('refuses what is not YAML', () => {
  assert.throws(() => readOperatorConfig('a: [', ENV), { code: 'config_invalid', message: /^not YAML/ });
});
