import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadKubeConfig, namespaceOf } from './kube-config.ts';

const directory = mkdtempSync(join(tmpdir(), 'portcullis-kubeconfig-'));
after(() => rmSync(directory, { recursive: true }));

function file(name: string, server: string): string {
  const path = join(directory, name);
  const config = {
    clusters: [{ name: 'one', cluster: { server } }],
    users: [{ name: 'me', user: { token: 't' } }],
    contexts: [
      { name: 'first', context: { cluster: 'one', user: 'me' } },
      { name: 'second', context: { cluster: 'one', user: 'me', namespace: 'trading' } },
    ],
    'current-context': 'first',
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

describe('loadKubeConfig', () => {
  it('takes the file’s current context, or the one asked for', () => {
    const path = file('good', 'https://api.example:6443');
    assert.equal(namespaceOf(loadKubeConfig({ path })), 'default');
    const second = loadKubeConfig({ path, context: 'second' });
    assert.equal(namespaceOf(second), 'trading');
    assert.equal(second.getCurrentCluster()?.server, 'https://api.example:6443');
  });

  const REFUSED: readonly (readonly [
    name: string,
    options: () => { path: string; context?: string },
    message: RegExp,
  ])[] = [
    ['no file', () => ({ path: join(directory, 'none') }), /kubeconfig cannot be read: ENOENT/],
    [
      'an unknown context',
      () => ({ path: file('c', 'https://x'), context: 'third' }),
      /no context "third".*first, second/,
    ],
    ['plain HTTP', () => ({ path: file('h', 'http://x') }), /must begin with https: \(now http:\/\/x\)/],
  ];
  for (const [name, options, message] of REFUSED) {
    it(`refuses ${name}`, () => {
      assert.throws(() => loadKubeConfig(options()), { code: 'config_invalid', message });
    });
  }
});
