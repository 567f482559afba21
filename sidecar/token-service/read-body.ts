import { type JsonObject, parseStrictJsonObject } from '../tokens/strict-json.ts';
import type { TokenDenial, TokenRequest, Violation } from './ports.ts';

/** Far above any password or profile; JSON is parsed on the event loop. */
const MAX_BODY_BYTES = 16 * 1024;
const MAX_DEPTH = 16;
const JSON_TYPE = /^application\/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A body that was read, as text and parsed. */
export interface JsonBody {
  readonly text: string;
  readonly members: JsonObject;
}

/** Reads a body of at most 16 KiB that must be one JSON object (RFC 8259): strict UTF-8, no name twice, at most 16 deep. */
export function readJsonBody({ body, contentType }: TokenRequest): JsonBody | TokenDenial {
  if (contentType === undefined || !JSON_TYPE.test(contentType)) return { denial: 'unsupported_media_type' };
  if (body.length > MAX_BODY_BYTES) return { denial: 'body_too_large' };
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    return invalid('', 'malformed', 'must be UTF-8');
  }
  const members = parseStrictJsonObject(text, MAX_DEPTH);
  if (members === undefined) return invalid('', 'malformed', 'must be a JSON object in which no name stands twice');
  return { text, members };
}

/** A denial that names one member of the body. */
export function invalid(pointer: string, code: Violation['code'], message: string): TokenDenial {
  return { denial: 'body_invalid', violations: [{ pointer, code, message }] };
}

/** The only members that a body may have, each a text that is not empty; with a denial for each that is not. */
export function textMembers<Name extends string>(
  members: JsonObject,
  required: readonly Name[],
): Readonly<Record<Name, string>> | TokenDenial {
  const violations: Violation[] = [];
  for (const name of Object.keys(members)) {
    if ((required as readonly string[]).includes(name)) continue;
    const pointer = `/${name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`;
    violations.push({ pointer, code: 'unknown_member', message: `is not known here; send ${required.join(' and ')}` });
  }
  for (const name of required) {
    const value = Object.hasOwn(members, name) ? members[name] : undefined;
    if (typeof value === 'string' && value !== '') continue;
    const code = value === undefined ? 'missing' : 'malformed';
    violations.push({ pointer: `/${name}`, code, message: 'must be a text that is not empty' });
  }
  if (violations.length > 0) return { denial: 'body_invalid', violations: violations.slice(0, 32) };
  return members as Readonly<Record<Name, string>>;
}
