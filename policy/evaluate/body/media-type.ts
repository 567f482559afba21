/** A Content-Type field value (RFC 9110 §8.3), names in lower case. */
export interface MediaType {
  readonly type: string;
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const TYPE = new RegExp(`^(${TOKEN}/${TOKEN})(.*)$`, 's');
const PARAMETER = new RegExp(`^[ \\t]*;[ \\t]*(${TOKEN})=(?:(${TOKEN})|"([\\t !#-\\[\\]-~]*)")[ \\t]*`);
const MAX_LENGTH = 256;

/** Parses one media type strictly: null for lists, empty parameters, quoted pairs, bytes beyond ASCII and more than 256 characters. */
export function parseMediaType(text: string): MediaType | null {
  const match = text.length <= MAX_LENGTH ? TYPE.exec(text) : null;
  if (match === null) return null;
  const parameters: [string, string][] = [];
  for (let rest = match[2]!; rest !== ''; ) {
    const parameter = PARAMETER.exec(rest);
    if (parameter === null) return null;
    parameters.push([parameter[1]!.toLowerCase(), parameter[2] ?? parameter[3]!]);
    rest = rest.slice(parameter[0].length);
  }
  return { type: match[1]!.toLowerCase(), parameters };
}

/** How bodies of a media type are read: as JSON (RFC 8259, RFC 6839 §3.1), as a form (URL standard §5.1), or not at all. */
export type BodyFormat = 'json' | 'form' | 'opaque';

/** The format of a media type in lower case. */
export function formatOf(type: string): BodyFormat {
  if (type === 'application/json' || type.endsWith('+json')) return 'json';
  return type === 'application/x-www-form-urlencoded' ? 'form' : 'opaque';
}
