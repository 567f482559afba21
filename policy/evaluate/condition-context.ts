import type { RequestFacts } from './access-evaluator.ts';
import { parseQuery } from './query-parameters.ts';

type Strings = Readonly<Record<string, string>>;

const NOTHING: Readonly<Record<string, never>> = Object.freeze(Object.create(null));

/** The `source` of an expression. */
export class ConditionSource {
  readonly ip: string;

  constructor(ip: string) {
    this.ip = ip;
  }
}

/** The variables of one evaluation; each is built when the expression first names it. */
export class ConditionContext {
  readonly #facts: RequestFacts;
  readonly #claims: Readonly<Record<string, unknown>> | null;
  readonly #match: { readonly params: Strings } | null;
  /** The parsed body, for the rules about it; undefined elsewhere. */
  readonly body: unknown;
  #query: Strings | null = null;
  #headers: Strings | null = null;

  constructor(
    facts: RequestFacts,
    claims: Readonly<Record<string, unknown>> | null,
    match: { readonly params: Strings } | null,
    body?: unknown,
  ) {
    this.#facts = facts;
    this.#claims = claims;
    this.#match = match;
    this.body = body;
  }

  /** The same request with its body. */
  withBody(body: unknown): ConditionContext {
    return new ConditionContext(this.#facts, this.#claims, this.#match, body);
  }

  get claims(): Readonly<Record<string, unknown>> {
    return this.#claims ?? NOTHING;
  }

  get path(): Strings {
    return this.#match?.params ?? NOTHING;
  }

  get query(): Strings {
    this.#query ??= parseQuery(this.#facts.query);
    return this.#query;
  }

  get headers(): Strings {
    this.#headers ??= headerMap(this.#facts.headers);
    return this.#headers;
  }

  get method(): string {
    return this.#facts.method;
  }

  get source(): ConditionSource {
    return new ConditionSource(this.#facts.clientAddress);
  }

  get now(): Date {
    return new Date(this.#facts.receivedAt);
  }
}

/** Lines of one name are joined with ", " (RFC 9110 §5.3). */
function headerMap(headers: readonly string[]): Strings {
  const map: Record<string, string> = Object.create(null);
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at]!;
    const earlier = map[name];
    map[name] = earlier === undefined ? headers[at + 1]! : `${earlier}, ${headers[at + 1]!}`;
  }
  return map;
}
