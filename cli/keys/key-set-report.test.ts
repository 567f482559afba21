import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keySetReport } from './key-set-report.ts';
import { detailText, listText } from './key-set-text.ts';
import { relativeTime } from './relative-time.ts';
import { condition, hours, keySetObject, NOW } from './testing/key-set-object.ts';

const HALT = 'the keyring is gone, but key set auth/trading had one';

describe('a key set for people', () => {
  it('is a line with what signs now, what is next and when', () => {
    assert.equal(
      listText([keySetReport(keySetObject())], false, NOW),
      `NAME     ALGORITHM  READY  ACTIVE  NEXT     NEXT ROTATION                     ESCROW
trading  ES256      yes    active  standby  in 3 days (2026-06-04T12:00:00Z)  none
`,
    );
  });

  it('is named with its namespace among those of all', () => {
    assert.match(listText([keySetReport(keySetObject())], true, NOW), /^auth\/trading {2}ES256/m);
  });

  it('is all of its keys, and what it waits for', () => {
    const status = { conditions: [condition('Enforced', 'False', 'Progressing', '2 of 3 pods have serial 7')] };
    assert.equal(
      detailText(keySetReport(keySetObject({ escrow: {} }, { ...status, escrow: { recipients: ['AB12'] } })), NOW),
      `auth/trading
  algorithm      ES256
  ready          no
  serial         7
  next rotation  in 3 days (2026-06-04T12:00:00Z)
  pods           3 of 3 have this serial
  escrow         1 recipient AB12

  KID      STATE    ALGORITHM  CREATED                              SINCE                                       REMOVED AFTER
  retired  Retired  RS256      33 days ago (2026-04-29T04:00:00Z)   retired 3 hours ago (2026-06-01T09:00:00Z)  in 60 minutes (2026-06-01T13:00:00Z)
  active   Active   ES256      30 days ago (2026-05-02T12:00:00Z)   active 3 hours ago (2026-06-01T09:00:00Z)   -
  standby  Standby  ES256      30 hours ago (2026-05-31T06:00:00Z)  -                                           -

Waits for:
  Progressing: 2 of 3 pods have serial 7
`,
    );
  });

  const cells: readonly [name: string, spec: object, status: object, row: RegExp][] = [
    ['suspended', { rotation: { suspend: true } }, {}, / suspended +none$/m],
    ['due', {}, { nextRotation: hours(-3) }, / due 3 hours ago \(2026-06-01T09:00:00Z\) /],
    ['without a key', {}, { activeKey: undefined, nextKey: undefined, nextRotation: undefined }, / - +- +- +none$/m],
    ['not escrowed though it should be', { escrow: {} }, {}, / missing$/m],
    ['escrowed to two', { escrow: {} }, { escrow: { recipients: ['A', 'B'] } }, / 2 recipients$/m],
    [
      'degraded',
      {},
      { conditions: [condition('Ready', 'True', 'Written'), condition('Degraded', 'True', 'MaxKeys', 'no room')] },
      / degraded .*\ntrading: MaxKeys: no room$/m,
    ],
  ];
  for (const [name, spec, status, row] of cells) {
    it(`says that it is ${name}`, () =>
      assert.match(listText([keySetReport(keySetObject({ ...spec }, status))], false, NOW), row));
  }
});

describe('what a key set waits for', () => {
  const waits: readonly [name: string, status: object, reasons: readonly string[]][] = [
    ['nothing when all is well', {}, []],
    [
      'not for pods that there are none of',
      { conditions: [condition('Enforced', 'False', 'NoMatchingPods', 'no pod')] },
      [],
    ],
    [
      'a halt once, though it stands in two conditions',
      {
        conditions: [
          condition('Ready', 'False', 'KeyringLost', HALT),
          condition('Degraded', 'True', 'KeyringLost', HALT),
        ],
      },
      ['KeyringLost'],
    ],
    ['the operator, which has not seen it', { conditions: undefined }, ['NotYetSeen']],
    ['the operator, which has not seen the last change', { observedGeneration: 0 }, ['NotYetSeen']],
  ];
  for (const [name, status, reasons] of waits) {
    it(`is ${name}`, () => {
      assert.deepEqual(
        keySetReport(keySetObject({}, status)).waitsFor.map(({ reason }) => reason),
        reasons,
      );
    });
  }
});

it('a key set in JSON has every member, whether or not the operator has said it', () => {
  const { status: _, ...fresh } = keySetObject();
  const [full, empty] = [keySetReport(keySetObject()), keySetReport(fresh)];
  assert.deepEqual(Object.keys(empty), Object.keys(full));
  assert.deepEqual(JSON.parse(JSON.stringify(empty)), {
    namespace: 'auth',
    name: 'trading',
    algorithm: 'ES256',
    ready: false,
    degraded: false,
    suspended: false,
    serial: null,
    activeKey: null,
    nextKey: null,
    nextRotation: null,
    rotateRequest: null,
    pods: { matched: 0, current: 0 },
    escrow: null,
    keys: [],
    waitsFor: [{ reason: 'NotYetSeen', message: 'the operator has not looked at this spec yet; is it running?' }],
  });
  assert.deepEqual(full.keys[2], {
    kid: 'standby',
    state: 'Standby',
    algorithm: 'ES256',
    createdAt: hours(-30),
    activatedAt: null,
    retiredAt: null,
    removedAfter: null,
  });
});

const times: readonly [ms: number, words: string][] = [
  [0, 'in 0 seconds'],
  [119_999, 'in 119 seconds'],
  [120_000, 'in 2 minutes'],
  [-47 * 3_600_000, '47 hours ago'],
  [48 * 3_600_000, 'in 2 days'],
];
for (const [ms, words] of times)
  it(`${ms} ms from now is ${words}`, () => assert.equal(relativeTime(NOW + ms, NOW), words));
