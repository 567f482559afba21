import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import type { BodyConfig } from '../../policy/evaluate/body/body-config.ts';
import { type BodyValidator, compileBody } from '../../policy/evaluate/body/compile-body.ts';
import { ConditionContext } from '../../policy/evaluate/condition-context.ts';

const NOW = Date.parse('2026-03-02T12:00:00Z');
const CONTEXT = new ConditionContext(
  { method: 'POST', query: '', headers: [], clientAddress: '10.0.0.1', receivedAt: NOW },
  null,
  null,
);

/** A change to a good body (undefined removes a member), and what is said of it: `pointer message`. */
type Bad = readonly [change: Readonly<Record<string, unknown>>, ...said: readonly string[]];

interface Example {
  readonly file: string;
  readonly good: Readonly<Record<string, unknown>>;
  readonly alsoGood: readonly Readonly<Record<string, unknown>>[];
  readonly bad: readonly Bad[];
}

const candle = {
  symbol: 'BTCUSDT',
  period: '1m',
  time: '2026-03-02T11:59:00Z',
  open: 10,
  high: 12,
  low: 9.5,
  close: 11,
  volume: 3,
};
const signal = { symbol: 'ETHUSDT', action: 'buy', confidence: 0.8, time: '2026-03-02T11:30:00Z' };
const limited = { entry: 100, stop_loss: 90, take_profit: 120 };
const order = { symbol: 'AAPL', side: 'buy', type: 'limit', quantity: 10, limit_price: 19.99 };
const user = { email: 'a.trader@example.com', username: 'a-trader', password: 'Correct horse 1' };
const bot = { name: 'grid 1', url: 'wss://stream.example.com:9443/ws?x=1', token: 'abcdefghij.0123456789' };
const PRIVATE = ' url must not name a host of a private network';

const examples: readonly Example[] = [
  {
    file: 'candle.yaml',
    good: candle,
    alsoGood: [
      { open: 9.5, close: 12 },
      { high: 10, low: 10, open: 10, close: 10 },
      { volume: 0 },
      { time: '2026-03-02T12:00:00Z' },
      { high: 14.25 },
    ],
    bad: [
      [
        { high: 9 },
        ' close must lie between low and high',
        ' high must not be below low',
        ' open must lie between low and high',
      ],
      [{ open: 9.4 }, ' open must lie between low and high'],
      [{ close: 12.1 }, ' close must lie between low and high'],
      [{ high: 14.26 }, ' high is an outlier, more than half above low'],
      [{ time: '2026-03-02T12:00:01Z' }, ' time must not be in the future'],
      [{ time: 'yesterday' }, '/time must match format "date-time"'],
      [{ symbol: 'btc-usdt' }, '/symbol must match pattern "^[A-Z0-9]+$"'],
      [{ symbol: 'BTC\n' }, '/symbol must match pattern "^[A-Z0-9]+$"'],
      [{ period: '2m' }, '/period must be one of "1m", "5m", "15m", "1h", "4h", "1d"'],
      [{ low: 0 }, '/low must be > 0'],
      [{ low: '9.5' }, '/low must be number'],
      [{ close: undefined, volume: -1 }, '/close is required', '/volume must be >= 0'],
      [{ vwap: 1 }, '/vwap must not be here'],
    ],
  },
  {
    file: 'signal.yaml',
    good: signal,
    alsoGood: [limited, { ...limited, action: 'sell', stop_loss: 110, take_profit: 80 }, { tags: ['a', 'b'] }],
    bad: [
      [{ confidence: 1.01 }, '/confidence must be <= 1'],
      [{ action: 'short' }, '/action must be one of "buy", "sell", "hold"'],
      [{ stop_loss: 90 }, '/entry is required beside "stop_loss"'],
      [{ tags: ['a', 'b', 'a'] }, '/tags must not hold the same item twice'],
      [{ time: '2026-03-02T11:00:00Z' }, ' time must lie within the last hour'],
      [{ ...limited, stop_loss: 100 }, ' stop_loss of a buy must be below entry'],
      [{ ...limited, take_profit: 100 }, ' take_profit of a buy must be above entry'],
      [
        { ...limited, action: 'sell' },
        ' stop_loss of a sell must be above entry',
        ' take_profit of a sell must be below entry',
      ],
    ],
  },
  {
    file: 'order.yaml',
    good: order,
    alsoGood: [{ type: 'market', limit_price: undefined }, { client_order_id: '6fa459ea-ee8a-4ca4-894e-db77e160355e' }],
    bad: [
      [{ limit_price: undefined }, '/limit_price is required'],
      [{ type: 'market' }, '/limit_price must not be here'],
      [{ type: 'stop' }, '/limit_price must not be here', '/type must be one of "market", "limit"'],
      [{ limit_price: 19.995 }, '/limit_price must be a multiple of 0.01'],
      [{ quantity: 0, side: 'hold' }, '/quantity must be > 0', '/side must be one of "buy", "sell"'],
      [{ quantity: 100_000 }, ' an order may be worth at most 1000000'],
      [{ client_order_id: '1' }, '/client_order_id must match format "uuid"'],
    ],
  },
  {
    file: 'user.yaml',
    good: user,
    alsoGood: [{ full_name: 'Ada Lovelace' }],
    bad: [
      [{ email: 'a@b@c' }, '/email must match format "email"'],
      [{ username: 'Root' }, '/username must match pattern "^[a-z][a-z0-9_-]*$"'],
      [{ password: 'my A-Trader pass' }, ' password must not contain the username'],
      [{ role: 'admin' }, '/role must not be here'],
      [{ full_name: '<b>' }, '/full_name must match pattern "^[^<>\\x00-\\x1f]+$"'],
    ],
  },
  {
    file: 'bot-connection.yaml',
    good: bot,
    alsoGood: [{ url: 'https://api.example.com' }, { url: 'https://localhost.example.com/x' }],
    bad: [
      ...[
        'https://10.0.0.1/',
        'https://127.1/',
        'https://0x7f.0.0.0x1/',
        'https://2130706433/',
        'https://[::1]/',
        'https://localhost/',
        'https://u:p@a.example.com/',
        'ftp://a.example.com/',
      ].map(
        (url): Bad => [
          { url },
          `/url must match pattern "${String.raw`^(https|wss)://([a-z0-9-]+\.)+[a-z][a-z0-9-]*(:[0-9]{1,5})?(/[!-~]*)?$`}"`,
        ],
      ),
      ...[
        'https://db.svc/',
        'https://a.localhost:8080',
        'https://metadata.google.internal/x',
        'https://printer.local',
      ].map((url): Bad => [{ url }, PRIVATE]),
      [{ token: 'has a space in it' }, '/token must match pattern "^[A-Za-z0-9._~-]+$"'],
    ],
  },
];

/** The validator of a rule fragment; sizes are read as Kubernetes writes them. */
function compileExample(file: string): BodyValidator {
  const { body } = parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as { body: BodyConfig };
  assert.equal(String(body.maxBytes), '4Ki');
  const compiled = compileBody({ ...body, maxBytes: 4096 });
  assert.ok(compiled.ok, JSON.stringify(compiled));
  return compiled.value;
}

for (const { file, good, alsoGood, bad } of examples) {
  describe(`examples/bodies/${file}`, () => {
    const validator = compileExample(file);
    const said = (body: unknown): readonly string[] => {
      const head = { contentType: 'application/json', contentEncoding: null };
      const refusal = validator.validate(Buffer.from(JSON.stringify(body)), head, CONTEXT);
      return (refusal?.violations ?? []).map(({ pointer, message }) => `${pointer} ${message}`).sort();
    };
    for (const change of [{}, ...alsoGood]) {
      it(`lets ${JSON.stringify(change)} through`, () => assert.deepEqual(said({ ...good, ...change }), []));
    }
    for (const [change, ...expected] of bad) {
      it(`refuses ${JSON.stringify(change)}`, () => assert.deepEqual(said({ ...good, ...change }), expected));
    }
    it('refuses what is no object', () => assert.deepEqual(said([]), [' must be object']));
  });
}

it('examples/bodies/user.yaml takes a form too', () => {
  const head = { contentType: 'application/x-www-form-urlencoded', contentEncoding: null };
  const form = Buffer.from(new URLSearchParams(user).toString());
  assert.equal(compileExample('user.yaml').validate(form, head, CONTEXT), null);
});
