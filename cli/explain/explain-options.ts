import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkField, isObject } from '../../policy/api/check-field.ts';
import type { Problem } from '../../policy/api/problem.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { ExplainRequest } from '../../sidecar/explain/explanation.ts';
import type { PolicyChoice } from '../local/check-policies.ts';
import { parseFlags } from '../parse-flags.ts';
import { choiceOf, POLICY_FLAGS } from './policy-flags.ts';
import { readBodyFile } from './read-body.ts';
import { parseRequestLine } from './request-line.ts';

const MORE = 'see portcullis explain --help';

const FLAGS = {
  ...POLICY_FLAGS,
  request: { type: 'string' },
  claims: { type: 'string' },
  token: { type: 'string' },
  body: { type: 'string' },
  header: { type: 'string', multiple: true, default: [] as string[] },
  host: { type: 'string', default: 'localhost' },
  from: { type: 'string', default: '127.0.0.1' },
  at: { type: 'string' },
  output: { type: 'string', short: 'o' },
  help: { type: 'boolean' },
} as const;

/** What `portcullis explain --policies` was asked. */
export interface ExplainOptions {
  readonly choice: PolicyChoice;
  readonly request: ExplainRequest;
  /** When the request comes, epoch milliseconds; null: now. */
  readonly at: number | null;
  readonly json: boolean;
}

/** Reads the flags; null when help was asked for. Throws config_invalid with everything that is wrong, one a line. */
export function parseExplainOptions(argv: readonly string[]): ExplainOptions | null {
  const { values } = parseFlags(argv, FLAGS, MORE);
  if (values.help) return null;
  const problems: string[] = [];
  const { policies, request, claims, token, body: file, header, host, from, at, output } = values;
  if (policies === undefined) problems.push('--policies is required: the directory that holds the policies');
  const line = parseRequestLine(request ?? '');
  if (request === undefined) problems.push("--request is required: method and path, such as 'POST /orders'");
  else if (line === null) {
    problems.push(`--request must be method and path, such as 'POST /orders', not ${JSON.stringify(request)}`);
  }
  if (token !== undefined) problems.push('--token needs the keys of a pod; with --policies give --claims');
  const given = claims === undefined ? null : readClaims(claims, problems);
  const body = file === undefined ? undefined : readBody(file, problems);
  const headers = header.map((text) => readHeader(text, problems));
  if (isIP(from) === 0) problems.push(`--from must be an IP address, not ${JSON.stringify(from)}`);
  const instants: Problem[] = [];
  if (at !== undefined) checkField({ type: 'string', format: 'date-time' }, at, [], instants);
  problems.push(...instants.map(({ message }) => `--at: ${message}`));
  if (output !== undefined && output !== 'json') problems.push(`-o must be json, not ${JSON.stringify(output)}`);
  if (policies === undefined || line === null || problems.length > 0) {
    throw new PortcullisError('config_invalid', [...problems, MORE].join('\n'));
  }
  const credential = given === null ? null : { claims: given };
  return {
    choice: choiceOf(policies, values),
    request: { ...line, host, headers, client: from, credential, ...(body !== undefined && { body }) },
    at: at === undefined ? null : Date.parse(at),
    json: output === 'json',
  };
}

function readClaims(text: string, problems: string[]): Readonly<Record<string, unknown>> | null {
  try {
    const claims: unknown = JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text);
    if (isObject(claims)) return claims;
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      problems.push(`--claims cannot be read: ${(error as Error).message}`);
      return null;
    }
  }
  problems.push(`--claims must be a JSON object, such as '{"sub":"u1","roles":["trader"]}', or @FILE that holds one`);
  return null;
}

function readBody(file: string, problems: string[]): string {
  try {
    return readBodyFile(file);
  } catch (error) {
    problems.push(`--body cannot be read: ${(error as Error).message}`);
    return '';
  }
}

function readHeader(text: string, problems: string[]): [string, string] {
  const colon = text.indexOf(':');
  if (colon <= 0) problems.push(`--header must be 'NAME: VALUE', not ${JSON.stringify(text)}`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}
