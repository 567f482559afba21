import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AccessBundle, AccessRule } from '../../policy/bundle/types.ts';
import type { BenchRun } from '../bench-run.ts';
import { haproxy } from '../peers/haproxy.ts';
import type { Peer } from '../peers/peer.ts';
import { portcullis } from '../peers/portcullis.ts';
import type { SectionReport } from '../report.ts';
import { mintTokens } from '../tokens.ts';
import { cpuReport, saturate } from './cpu.ts';

/** More tokens than the cache of verified ones holds: sent in turn, each is new again. */
const COLD_TOKENS = 60_000;
const RULES = [1, 100, 1_000] as const;

/** What more of a policy costs: tokens never seen, many rules, a body with a schema; beside HAProxy where it can do the same. */
export async function policiesSection(run: BenchRun): Promise<SectionReport> {
  const { lab } = run;
  const { ES256, RS256 } = lab.tokens;
  const directory = mkdtempSync(join(lab.scratch, 'cold-'));
  const cold = mintTokens('ES256', directory, Math.floor(Date.now() / 1_000), COLD_TOKENS);
  const body = join(lab.scratch, 'order.json');
  writeFileSync(body, JSON.stringify(order()));
  const peers: readonly Peer[] = [
    ...RULES.map((count) => portcullis(ES256, { policy: { name: rulesName(count), change: withRules(count) } })),
    portcullis(cold, { policy: { name: 'every token new', change: (bundle) => bundle } }),
    portcullis(ES256, { policy: { name: '1 KB body, no schema', change: withBody(false), body } }),
    portcullis(ES256, { policy: { name: '1 KB body with schema and a rule', change: withBody(true), body } }),
    haproxy('verify', ES256),
    haproxy('cache', RS256),
    haproxy('cache', RS256, 100),
    haproxy('cache', RS256, 1_000),
  ];
  return cpuReport(
    await saturate(run, peers, null),
    'CPU per request by policy',
    'As above, limit in memory, access log, metrics. Rules: the last of them decides. Every token new: more tokens than the cache holds, sent in turn.',
  );
}

function rulesName(count: number): string {
  return count === 1 ? '1 rule' : `${count} rules`;
}

function withRules(count: number): (bundle: AccessBundle) => AccessBundle {
  const others = Array.from(
    { length: count - 1 },
    (_, at): AccessRule => ({
      name: `orders-of-${at}`,
      match: { hosts: [], paths: [`/accounts-${at}/{id}/orders`], methods: ['GET'] },
      allow: [{ permissions: ['orders:read'] }],
    }),
  );
  return (bundle) => ({ ...bundle, rules: [...others, ...bundle.rules] });
}

function withBody(checked: boolean): (bundle: AccessBundle) => AccessBundle {
  const item = {
    type: 'object',
    required: ['symbol', 'side', 'quantity', 'price'],
    additionalProperties: false,
    properties: {
      symbol: { type: 'string', pattern: '^[A-Z0-9]+$', maxLength: 20 },
      side: { enum: ['buy', 'sell'] },
      quantity: { type: 'number', exclusiveMinimum: 0 },
      price: { type: 'number', exclusiveMinimum: 0 },
    },
  };
  const rule: AccessRule = {
    name: 'place-orders',
    match: { hosts: [], paths: ['/orders'], methods: ['POST'] },
    allow: [{ permissions: ['orders:write'] }],
    ...(checked && {
      body: {
        contentTypes: ['application/json'],
        maxBytes: 65_536,
        schema: {
          type: 'object',
          required: ['account', 'orders'],
          additionalProperties: false,
          properties: { account: { type: 'string' }, orders: { type: 'array', items: item, maxItems: 100 } },
        },
        rules: [{ rule: 'size(body.orders) > 0', message: 'orders must not be empty' }],
      },
    }),
  };
  return (bundle) => ({ ...bundle, rules: [...bundle.rules, rule] });
}

/** 1 KB of JSON. */
function order(): object {
  const orders = Array.from({ length: 13 }, (_, at) => ({
    symbol: `AAPL${at}`,
    side: at % 2 === 0 ? 'buy' : 'sell',
    quantity: 100 + at,
    price: 187.25 + at,
  }));
  return { account: 'desk-1', orders };
}
