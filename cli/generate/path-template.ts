import { parsePattern } from '../../policy/evaluate/path-pattern.ts';

const MAX_PATH = 256;
const MAX_PARAMETER = 63;
/** No text of a shape is so: it would be encoded. */
const PARAMETER = '{}';

/** A path pattern, or why the template cannot be one; then `shape` matches more than the template, and is null where nothing does. */
export type ConvertedPath =
  | { readonly ok: true; readonly path: string; readonly shape: string }
  | { readonly ok: false; readonly message: string; readonly shape: string | null };

/**
 * A path template of OpenAPI (3.1 section 4.8.8.2) below `basePath` as a path pattern of a rule. Parameters may get other names,
 * literals are percent-encoded where they must be. `shape` is the same for templates that match the same requests.
 */
export function convertTemplate(basePath: string, template: string): ConvertedPath {
  if (!template.startsWith('/')) return refuse('a path begins with "/"');
  const names = new Set<string>();
  const [path, shape]: [string[], string[]] = [[], []];
  let mixed: string | null = null;
  for (const segment of `${basePath}${template}`
    .replaceAll(/\/{2,}/g, '/')
    .slice(1)
    .split('/')) {
    const parameter = /^\{([^{}]*)\}$/.exec(segment)?.[1];
    if (parameter !== undefined && /[*+]|^\W*$/.test(parameter)) {
      mixed = `{${parameter}} is not the name of one segment; for any rest write ** as the last segment`;
    } else if (parameter === undefined && /[{}]/.test(segment)) {
      mixed = `"${segment}" is part text, part parameter; a segment is a text or {name}`;
    }
    const isText = parameter === undefined && !/[{}]/.test(segment);
    path.push(isText ? encode(segment) : `{${parameterName(parameter ?? 'mixed', names)}}`);
    shape.push(isText ? encode(segment) : PARAMETER);
  }
  const [text, shapeText] = [`/${path.join('/')}`, `/${shape.join('/')}`];
  if (mixed !== null) return { ok: false, message: mixed, shape: shapeText };
  if (text.length > MAX_PATH)
    return { ok: false, message: `a path of a rule has at most ${MAX_PATH} characters`, shape: shapeText };
  const parsed = parsePattern(text);
  return parsed.ok ? { ok: true, path: text, shape: shapeText } : refuse(parsed.message);
}

/** Whether some requests may match both shapes. */
export function shapesOverlap(one: string, other: string): boolean {
  const [segments, others] = [one.split('/'), other.split('/')];
  return (
    segments.length === others.length &&
    segments.every((segment, at) => segment === others[at] || segment === PARAMETER || others[at] === PARAMETER)
  );
}

/**
 * The path of a server's URL, variables replaced by their defaults, without a slash at the end: empty for the root. Null: it
 * cannot be told.
 */
export function basePathOf(url: string, defaults: ReadonlyMap<string, string>): string | null {
  const filled = url.replaceAll(/\{([^{}]*)\}/g, (variable, name: string) => defaults.get(name) ?? variable);
  const path = filled.replace(/^([a-z][a-z0-9+.-]*:)?\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
  if (/[{}]/.test(path)) return null;
  const rooted = path === '' || path.startsWith('/') ? path : `/${path}`;
  return rooted.replace(/\/+$/, '');
}

function parameterName(text: string, taken: Set<string>): string {
  const name = text.replaceAll(/\W/g, '_').replace(/^(?=\d)/, '_');
  let unique = name.slice(0, MAX_PARAMETER);
  for (let count = 2; taken.has(unique); count++) unique = `${name.slice(0, MAX_PARAMETER - 8)}_${count}`;
  taken.add(unique);
  return unique;
}

/** As `PATH_PATTERN` wants it, in one spelling: what is encoded without need is decoded. */
function encode(segment: string): string {
  let text = segment;
  try {
    text = decodeURIComponent(segment);
  } catch {
    // A bare "%" stands for itself.
  }
  return text
    .toWellFormed()
    .replaceAll(/[\p{C}\p{Z}{}*?#%;/\\]/gu, (character) => encodeURIComponent(character).replace('*', '%2A'));
}

function refuse(message: string): ConvertedPath {
  return { ok: false, message, shape: null };
}
