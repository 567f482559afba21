import { isIP } from 'node:net';
import { type Document, LineCounter, parseDocument } from 'yaml';
import { checkField, isObject } from '../../policy/api/check-field.ts';
import type { Field } from '../../policy/api/field.ts';
import { didYouMean } from '../../policy/api/nearest.ts';
import type { Problem } from '../../policy/api/problem.ts';
import { rule } from '../../policy/api/rule.ts';
import { locate } from '../../policy/compile/locate.ts';
import { RESCUE } from '../../sidecar/engine/rescue.ts';
import type { ExplainRequest } from '../../sidecar/explain/explanation.ts';
import { parseRequestLine } from '../explain/request-line.ts';
import type { PolicyFile } from '../local/policy-files.ts';
import { problemAt, type SourceDocument } from '../local/source-problem.ts';

/** Whether a request gets through: `allow` is whatever is not refused. */
export type AccessDecision = 'allow' | 'deny';

/** What a case says of the outcome; what it does not say may be anything. */
export interface Expectation {
  readonly decision?: AccessDecision;
  /** Of an answer that Portcullis gives itself. */
  readonly status?: number;
  /** A code of docs/errors.md. */
  readonly code?: string;
  /** Name of the access policy's rule that the request falls under. */
  readonly rule?: string;
}

/** One case of a file: a request and what should become of it. */
export interface PolicyCase {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly request: ExplainRequest;
  /** When the request comes, epoch milliseconds; null: now. */
  readonly at: number | null;
  readonly expect: Expectation;
  /** File with the body of the request, as the case names it; null: the request has its body, or none. */
  readonly bodyFile: string | null;
}

/** The cases of a file, or everything that is wrong with it: `file:line:column path: message`. */
export interface ParsedCases {
  readonly cases: readonly PolicyCase[];
  readonly problems: readonly string[];
}

/** Claims are written once and named by every case that has them. */
const MAX_ALIASES = 10_000;
const DECISIONS: readonly AccessDecision[] = ['allow', 'deny'];
/** Refusals that depend on what was counted before, or on the store. */
const OF_LIMITS: readonly string[] = ['rate_limited', 'store_unavailable'];
const OF_ACCESS = Object.keys(RESCUE).filter((code) => !OF_LIMITS.includes(code));

const IS_ADDRESS = rule<string>('isIP(self)', 'must be an IP address', (address) => isIP(address) !== 0);
const text: Field = { type: 'string', minLength: 1 };
const CASES: Field = {
  type: 'array',
  minItems: 1,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
  items: {
    type: 'object',
    required: ['name', 'request', 'expect'],
    properties: {
      name: { ...text, description: 'what the case is about' },
      request: {
        type: 'object',
        description: 'METHOD PATH, or an object with method and path',
        required: ['method', 'path'],
        properties: {
          method: { ...text, description: 'such as GET' },
          path: { ...text, description: 'with a query if there is one, such as /orders?status=open' },
          host: { ...text, default: 'localhost' },
          headers: { type: 'object', additionalProperties: { type: 'string' }, default: {} },
          from: { ...text, default: '127.0.0.1', rules: [IS_ADDRESS] },
          at: { type: 'string', format: 'date-time' },
        },
      },
      claims: { type: 'object', properties: {} },
      bodyFile: { ...text, description: 'a file with the body, its path from the directory of this one' },
      expect: {
        type: 'object',
        description: 'allow, deny, a status such as 401, or an object with decision, status, code or rule',
        properties: {
          decision: { type: 'string', enum: DECISIONS },
          status: { type: 'integer', minimum: 200, maximum: 599 },
          code: { type: 'string', enum: OF_ACCESS },
          rule: text,
        },
      },
    },
  },
};

interface CaseDocument {
  readonly name: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly host: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly from: string;
    readonly at?: string;
  };
  readonly bodyFile?: string;
  readonly expect: Expectation;
}

/** Reads a file of cases: a YAML list of {name, request, claims, body, expect}. Everything wrong is reported at once. */
export function parseCases({ file, text: yaml }: PolicyFile): ParsedCases {
  const lines = new LineCounter();
  const document: Document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const source: SourceDocument = { file, document, lines };
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ pos, message }) => {
      const { line, col } = lines.linePos(pos[0]);
      return `${file}:${line}:${col} not YAML: ${message}`;
    });
    return { cases: [], problems };
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    return { cases: [], problems: [problemAt(source, [], `cannot be read: ${(error as Error).message}`).text] };
  }
  const problems: Problem[] = [];
  const items = Array.isArray(value) ? value.map((item, index) => inFull(item, index, problems)) : value;
  const checked = checkField(CASES, items, [], problems).value as readonly CaseDocument[];
  if (problems.length > 0) {
    const texts = problems.map(({ path, message }) => problemAt(source, path, message).text);
    return { cases: [], problems: texts.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })) };
  }
  const written = value as readonly Written[];
  const cases = checked.map((each, index) => {
    const { line } = locate(document, lines, [index]);
    return { file, line, ...caseOf(each, written[index] ?? {}) };
  });
  return { cases, problems: [] };
}

/** What a case may hold of any kind. */
interface Written {
  readonly claims?: unknown;
  readonly body?: unknown;
}

/** A case with its short forms written out, and without its claims and its body, in which everything is allowed. */
function inFull(item: unknown, index: number, problems: Problem[]): unknown {
  if (!isObject(item)) return item;
  const { body, ...rest } = item;
  const { request, claims, expect } = rest;
  if (body !== undefined && rest['bodyFile'] !== undefined) {
    problems.push({ path: [index, 'bodyFile'], message: 'stands beside body; leave one of the two out' });
  }
  return {
    ...rest,
    ...(typeof request === 'string' && { request: fullRequest(request, [index, 'request'], problems) }),
    ...(isObject(claims) && { claims: {} }),
    ...(expect !== undefined && { expect: fullExpectation(expect, [index, 'expect'], problems) }),
  };
}

function fullRequest(request: string, path: Problem['path'], problems: Problem[]): unknown {
  const line = parseRequestLine(request);
  if (line === null) {
    problems.push({ path, message: `must be METHOD PATH, such as GET /orders, not ${JSON.stringify(request)}` });
    return { method: 'GET', path: '/' };
  }
  return { method: line.method, path: line.target };
}

function fullExpectation(expect: unknown, path: Problem['path'], problems: Problem[]): unknown {
  if (typeof expect === 'string' && !(DECISIONS as readonly string[]).includes(expect)) {
    const message = `must be allow, deny or a status such as 401, not ${JSON.stringify(expect)}`;
    problems.push({ path, message: `${message}${didYouMean(expect, DECISIONS)}` });
    return { decision: 'deny' };
  }
  if (typeof expect === 'string') return { decision: expect };
  const full: unknown = typeof expect === 'number' ? { status: expect } : expect;
  if (!isObject(full)) return full;
  if (Object.values(full).every((said) => said === null)) {
    problems.push({ path, message: 'must say decision, status, code or rule' });
  }
  if (full['status'] === 429 || OF_LIMITS.includes(String(full['code']))) {
    problems.push({ path, message: 'is never the outcome here: rate limits are not counted' });
    return { decision: 'deny' };
  }
  return full;
}

function caseOf(
  { name, request, expect, bodyFile }: CaseDocument,
  { claims, body }: Written,
): Omit<PolicyCase, 'file' | 'line'> {
  const { method, path: target, host, headers, from: client, at } = request;
  const credential = isObject(claims) ? { claims } : null;
  return {
    name,
    request: {
      ...{ method: method.toUpperCase(), target, host, headers: Object.entries(headers), client, credential },
      ...(body !== undefined && body !== null && { body: bodyText(body) }),
    },
    at: at === undefined ? null : Date.parse(at),
    expect,
    bodyFile: bodyFile ?? null,
  };
}

/** A text as it stands, anything else as JSON; as its octets in UTF-8. */
function bodyText(body: unknown): string {
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)).toString('latin1');
}
