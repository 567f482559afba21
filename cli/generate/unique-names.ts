/** Gives every text a name within the rules of a policy: the same text the same name, different texts different names. */
export class UniqueNames {
  readonly #names = new Map<string, string>();
  readonly #taken = new Set<string>();
  readonly #convert: (text: string) => string;
  readonly #maxLength: number;

  /** @param convert what a name looks like, before it is cut and numbered; never empty */
  constructor(convert: (text: string) => string, maxLength = 63) {
    this.#convert = convert;
    this.#maxLength = maxLength;
  }

  of(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const name = this.fresh(text);
    this.#names.set(text, name);
    return name;
  }

  /** A name that nothing else has, whether or not the text had one before. */
  fresh(text: string): string {
    const base = this.#convert(text);
    let name = base.slice(0, this.#maxLength).replace(/[^A-Za-z0-9]+$/, '');
    for (let count = 2; this.#taken.has(name); count++) {
      const suffix = `-${count}`;
      name = `${base.slice(0, this.#maxLength - suffix.length).replace(/[^A-Za-z0-9]+$/, '')}${suffix}`;
    }
    this.#taken.add(name);
    return name;
  }
}

/** The name of a rule. */
export function ruleNameOf(text: string): string {
  return trimmed(text.replaceAll(/[^A-Za-z0-9_.-]+/g, '-')) || 'rule';
}

/** The first half of a permission, of a tag or a segment of a path. */
export function subjectOf(text: string): string {
  return trimmed(text.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-')) || 'api';
}

/** A permission. */
export function permissionOf(text: string): string {
  return trimmed(text.replaceAll(/[^A-Za-z0-9:._/-]+/g, '-')) || 'scope';
}

function trimmed(text: string): string {
  return text.replace(/^[^A-Za-z0-9]+/, '').replace(/[^A-Za-z0-9]+$/, '');
}
