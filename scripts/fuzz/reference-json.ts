/** What a reader finds in a text: a value, whether one object names a member twice, and how deep it nests. */
export interface ReferenceJson {
  readonly value: unknown;
  readonly twice: boolean;
  readonly depth: number;
}

const BLANK = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /(?:null|true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)/y;
const ESCAPE = /\\(u[0-9a-fA-F]{4}|.)/g;
const ESCAPED: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const WORDS: ReadonlyMap<string, null | boolean> = new Map([
  ['null', null],
  ['true', true],
  ['false', false],
]);

/** Reads JSON (RFC 8259) by a grammar of its own, slowly; null for what is none. For comparison with the readers in use. */
export function referenceJson(text: string): ReferenceJson | null {
  const reader = new Reader(text);
  try {
    const value = reader.value(0);
    return reader.over ? { value, twice: reader.twice, depth: reader.depth } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;
  twice = false;
  depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get over(): boolean {
    return this.#at === this.#text.length;
  }

  value(depth: number): unknown {
    this.#take(BLANK);
    const found = this.#bare(depth);
    this.#take(BLANK);
    return found;
  }

  #bare(depth: number): unknown {
    const first = this.#text[this.#at];
    if (first === '"') return this.#string();
    if (first !== '{' && first !== '[') {
      const word = this.#take(WORD);
      const known = WORDS.get(word);
      return known === undefined ? Number(word) : known;
    }
    this.#at++;
    this.depth = Math.max(this.depth, depth + 1);
    return first === '{' ? this.#object(depth + 1) : this.#array(depth + 1);
  }

  #object(depth: number): object {
    const members: Record<string, unknown> = {};
    this.#take(BLANK);
    if (this.#skip('}')) return members;
    do {
      this.#take(BLANK);
      const name = this.#string();
      this.#take(BLANK);
      if (!this.#skip(':')) throw new SyntaxError();
      if (Object.hasOwn(members, name)) this.twice = true;
      // An ordinary member, __proto__ too.
      Object.defineProperty(members, name, {
        value: this.value(depth),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    } while (this.#skip(','));
    if (!this.#skip('}')) throw new SyntaxError();
    return members;
  }

  #array(depth: number): unknown[] {
    const items: unknown[] = [];
    this.#take(BLANK);
    if (this.#skip(']')) return items;
    do items.push(this.value(depth));
    while (this.#skip(','));
    if (!this.#skip(']')) throw new SyntaxError();
    return items;
  }

  #string(): string {
    return this.#take(STRING)
      .slice(1, -1)
      .replace(ESCAPE, (_, code: string) =>
        code.length > 1 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : (ESCAPED[code] ?? code),
      );
  }

  #skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw new SyntaxError();
    this.#at += found.length;
    return found;
  }
}
