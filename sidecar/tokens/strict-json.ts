/** A JSON object as strict parsing returns it: own members only, `__proto__` an ordinary member like any other. */
export type JsonObject = Readonly<Record<string, unknown>>;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;

/**
 * Parses JSON (RFC 8259) as `JSON.parse` does, and refuses what makes two readers disagree: members with the same name
 * in one object (names compared after unescaping), and nesting deeper than `maxDepth`. Returns undefined for what it
 * refuses; never throws.
 */
export function parseStrictJson(text: string, maxDepth: number): unknown {
  // The grammar is JSON.parse's business, so that there is no second opinion on it; the scan sees only valid JSON.
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return hasUniqueMembers(text, maxDepth) ? value : undefined;
}

/** Parses strict JSON that must be an object; undefined for everything else. */
export function parseStrictJsonObject(text: string, maxDepth: number): JsonObject | undefined {
  const value = parseStrictJson(text, maxDepth);
  return isJsonObject(value) ? value : undefined;
}

/** Whether a JSON value is an object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Walks valid JSON once; false when an object repeats a name or the nesting is too deep. */
function hasUniqueMembers(json: string, maxDepth: number): boolean {
  /** For each open object the names seen, for each open array null. */
  const open: (Set<string> | null)[] = [];
  let nameExpected = false;
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case OPEN_BRACE:
        if (open.push(new Set()) > maxDepth) return false;
        nameExpected = true;
        break;
      case OPEN_BRACKET:
        if (open.push(null) > maxDepth) return false;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop();
        break;
      case COMMA:
        nameExpected = true;
        break;
      case QUOTE: {
        const end = endOfString(json, at);
        const names = open.at(-1);
        if (nameExpected && names) {
          const name: unknown = JSON.parse(json.slice(at, end + 1));
          if (typeof name !== 'string' || names.has(name)) return false;
          names.add(name);
          nameExpected = false;
        }
        at = end;
        break;
      }
    }
  }
  return true;
}

/** Index of the quote that closes the string opened at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json.charCodeAt(at) !== QUOTE) at += json.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}
