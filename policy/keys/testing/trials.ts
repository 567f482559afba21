import assert from 'node:assert/strict';
import { activeKey } from '../keyring.ts';
import { HOUR, SPEC } from './fixtures.ts';
import { PODS } from './simulated-readers.ts';
import type { Simulation, Who } from './simulation.ts';

/** Properties 7 and 13: at a standing clock a controller comes to rest, with one new standby and one activation at most. */
export function settle(simulation: Simulation, who: Who): void {
  const { store, spec } = simulation;
  const { keys = [], tombstones = [] } = store.keyring ?? {};
  const existed = store.keyring !== null;
  // A retired key takes seven steps: erase it, drop it, twice the escrow, outputs, exports, confirm.
  const bound = 24 + 7 * (keys.length + spec.revocations.length - tombstones.length);
  const steps: string[] = [];
  for (;;) {
    const { kind } = simulation.turn(who);
    if (kind === 'Wait' || kind === 'Halt') break;
    steps.push(kind);
    assert(steps.length <= bound, `property 7: no rest after ${steps.join(' ')}`);
  }
  const added = steps.filter((kind) => kind === 'Add').length;
  assert(added <= 1, `property 7: ${added} standby keys at one time: ${steps.join(' ')}`);
  const activated = steps.filter((kind) => kind === 'Activate').length;
  assert(activated <= (existed ? 1 : 0), `property 13: ${activated} activations at one time: ${steps.join(' ')}`);
  checkRest(simulation);
}

/** Property 12: at rest every key can be read by all recipients of now. Exports are what the outputs are. */
function checkRest({ store, spec, recipients, trouble }: Simulation): void {
  const { keyring, escrow, outputs } = store;
  if (trouble !== null || keyring === null) return;
  assert(store.isExported(outputs), 'exports are not what the outputs are');
  if (spec.escrow === null || recipients === null) return;
  for (const { kid } of keyring.keys) {
    const expected: string = `${recipients.join('+')}:${kid}`;
    assert.equal(escrow?.messages[kid], expected, `property 12: ${kid} is not escrowed to everyone`);
  }
}

/** Property 6: with clocks agreed, either controller, restarted, arrives at the active key of the other. */
export function restartsAgree(simulation: Simulation): void {
  const { store, count } = simulation;
  simulation.skew(0, 0);
  simulation.skew(1, 0);
  settle(simulation, 0);
  const active = store.keyring && activeKey(store.keyring).kid;
  const { writes } = count;
  settle(simulation, 1);
  const restarted = store.keyring && activeKey(store.keyring).kid;
  assert.equal(restarted, active, 'property 6: another active key after a restart');
  assert.equal(count.writes, writes, 'property 7: the other controller found something left to do');
}

/** That a set left in peace rotates every period, no more and no less. */
export function livesOn(simulation: Simulation, periods: number): void {
  simulation.remedy('Escrow');
  const rotation = { ...SPEC.rotation, periodMs: 24 * HOUR, prePublishMs: HOUR, ackTimeoutMs: 0 };
  simulation.recipients = ['AAAA'];
  simulation.respec({ rotation, maxTokenLifetimeMs: simulation.spec.maxTokenLifetimeMs ?? HOUR });
  for (const pod of PODS) simulation.stick(pod, false);
  // What was pending is done by then, and grown graces are over.
  for (let hours = 0; hours < 48; hours++) hour(simulation);
  const before = simulation.count.activations;
  for (let hours = 0; hours < periods * 26; hours++) hour(simulation);
  const activations = simulation.count.activations - before;
  assert(
    activations >= periods - 1 && activations <= periods + 2,
    `liveness: ${activations} activations in ${periods} periods`,
  );
  assert((simulation.store.keyring?.keys.length ?? 0) <= 3, 'liveness: retired keys pile up');
}

function hour(simulation: Simulation): void {
  simulation.pass(HOUR);
  // What a user does about keys whose tokens live for ever: encrypt anew, then revoke.
  for (const key of simulation.store.keyring?.keys ?? []) {
    if (key.phase === 'Retired' && key.graces.maxTokenLifetimeMs === null) simulation.revokeKid(key.kid);
  }
  settle(simulation, 0);
  for (const pod of PODS) simulation.load(pod);
}
