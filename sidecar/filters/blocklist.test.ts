import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exampleLimitsBundle } from '../../policy/bundle/testing/example-bundles.ts';
import type { LimitsBundle } from '../../policy/bundle/types.ts';
import { NO_METRICS } from '../metrics/policy-metrics.ts';
import { Exchange } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';
import { MemoryBlocks } from '../stores/blocks-memory.ts';
import { MemoryStore } from '../stores/memory-store.ts';
import { compileOffences } from '../threats/offences.ts';
import { blockLayers } from './blocklist.ts';
import { threats } from './threats.ts';

const HOUR = 3_600_000;
const MATCHING = { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' } as const;

/** The layers as the login endpoint meets them: it asks the guard, then says how the log-in ended. */
class LoginUnderTest {
  readonly #blocks = new MemoryBlocks();
  readonly #bySubject: Filter;
  readonly #watch: Filter;
  readonly told: string[] = [];
  shadowed = 0;

  constructor(more: Partial<LimitsBundle> = {}) {
    const bundle: LimitsBundle = {
      ...exampleLimitsBundle,
      mode: 'Enforce',
      threats: { bruteForce: { failures: 5, withinMs: HOUR, keys: ['user'], blockMs: HOUR, paths: [] } },
      ...more,
    };
    const layers = blockLayers({ bundle, blocks: this.#blocks, limiter: new MemoryStore() });
    const log = (event: string): unknown => this.told.push(event);
    const offences = compileOffences(bundle, log, () => 0);
    this.#watch = threats({
      log,
      metrics: NO_METRICS,
      pathMatching: MATCHING,
      watch: { bundle, blocks: this.#blocks, offences },
    });
    this.#bySubject = layers.bySubject ?? assert.fail('no layer');
  }

  async logIn(user: string, from: string, right: boolean): Promise<string> {
    const exchange = new Exchange('id', 'POST', '/auth/login', '', 'a', 'a', [], from, false, 1_000, performance.now());
    assert.equal(await this.#bySubject.onRequest?.(exchange), undefined);
    const denied = await exchange.loginGuard?.(user, exchange);
    this.shadowed += exchange.shadowDenials?.length ?? 0;
    if (denied !== undefined) {
      assert.match(denied.headers.join(' '), /^retry-after 360[01]$/);
      return denied.code;
    }
    if (right) exchange.loginSuccess = { user };
    else exchange.loginFailure = { user };
    this.#watch.onFinish?.(exchange);
    return right ? 'in' : 'wrong';
  }
}

const attack = async (login: LoginUnderTest, user = 'victim'): Promise<string[]> => {
  const answers: string[] = [];
  // Each try from another address: no block by address would ever see it.
  for (let i = 1; i <= 7; i++) answers.push(await login.logIn(user, `198.51.100.${i}`, false));
  return answers;
};
const BLOCKED = 'blocked';

describe('log-ins under a name that is under attack', () => {
  it('are refused, however many addresses it comes from', async () => {
    const login = new LoginUnderTest();
    assert.deepEqual(await attack(login), [...Array(5).fill('wrong'), BLOCKED, BLOCKED]);
    assert.equal(login.told.filter((event) => event === 'multiple_failed_logins').length, 1);
    assert.equal(await login.logIn('other', '198.51.100.1', true), 'in');
  });

  it('whoever logged in from there before is let in: nobody can lock somebody out of where they work', async () => {
    const login = new LoginUnderTest();
    assert.equal(await login.logIn('victim', '192.0.2.1', true), 'in');
    await attack(login);
    assert.equal(await login.logIn('victim', '192.0.2.1', true), 'in');
    assert.equal(await login.logIn('victim', '192.0.2.1', false), 'wrong', 'a typing error does not lock either');
    assert.equal(await login.logIn('victim', '192.0.2.1', true), 'in');
    assert.equal(await login.logIn('victim', '192.0.2.2', true), BLOCKED, 'elsewhere not even with the password');
  });

  it('a name counts in any case and form', async () => {
    const login = new LoginUnderTest();
    for (const name of ['Victim', 'victim', ' VICTIM', 'vi\uff43tim', 'victim'])
      await login.logIn(name, '198.51.100.1', false);
    assert.equal(await login.logIn('victim', '198.51.100.1', true), BLOCKED);
  });

  it('a name as long as a body is held in bounded memory', async () => {
    const login = new LoginUnderTest();
    const name = 'x'.repeat(60_000);
    await attack(login, name);
    assert.equal(await login.logIn(name, '198.51.100.1', true), BLOCKED);
    assert.equal(await login.logIn(`${name}y`, '198.51.100.1', true), 'in');
  });

  it('Shadow refuses nobody and says whom it would', async () => {
    const login = new LoginUnderTest({ mode: 'Shadow' });
    assert.deepEqual(await attack(login), Array(7).fill('wrong'));
    assert.equal(login.shadowed, 2);
  });
});
