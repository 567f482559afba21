import { parseDocument } from 'yaml';
import { isObject } from '../../policy/api/check-field.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Report } from './report.ts';

/** An object of a document. */
export type JsonObject = Readonly<Record<string, unknown>>;

const BUNDLE_FIRST =
  'only references within the file are followed (#/components/...); put all into one file first, as `redocly bundle` does';

/** Something of a document, where references led to it. */
export interface Resolved {
  readonly value: JsonObject;
  /** JSON Pointer (RFC 6901). */
  readonly pointer: string;
}

/** An OpenAPI document of version 3.0 or 3.1. */
export class OpenApiDocument {
  readonly root: JsonObject;
  /** 3.0: what stands beside a `$ref` is ignored (OpenAPI 3.0.4 section 4.7.23). */
  readonly refStandsAlone: boolean;
  readonly #report: Report;

  constructor(root: JsonObject, report: Report) {
    this.root = root;
    this.refStandsAlone = String(root['openapi']).startsWith('3.0');
    this.#report = report;
  }

  /** What a JSON Pointer names; undefined when there is no such thing. */
  at(pointer: string): unknown {
    let value: unknown = this.root;
    for (const part of pointer.split('/').slice(1)) {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
      value = (value as JsonObject)[name];
    }
    return value;
  }

  /** The object at `pointer` or, behind `$ref`, elsewhere. Null: reported why not. */
  resolve(value: unknown, pointer: string): Resolved | null {
    const seen = new Set<string>();
    let found = { value, pointer };
    for (;;) {
      if (!isObject(found.value)) {
        this.#report.error(found.pointer, 'is no object; see the OpenAPI Specification for what belongs here');
        return null;
      }
      const { $ref } = found.value;
      if ($ref === undefined) return { value: found.value, pointer: found.pointer };
      const target = this.target($ref, `${found.pointer}/$ref`);
      if (target === null) return null;
      if (seen.has(target)) {
        this.#report.error(pointer, 'this $ref leads back to itself; write the object that is meant');
        return null;
      }
      seen.add(target);
      found = { value: this.at(target), pointer: target };
    }
  }

  /** The JSON Pointer that a `$ref` names, of something that is there. Null: reported why not. */
  target(ref: unknown, pointer: string): string | null {
    const refuse = (message: string): null => {
      this.#report.error(pointer, message);
      return null;
    };
    if (typeof ref !== 'string') return refuse('write a text such as #/components/schemas/Order');
    if (!/^#(\/|$)/.test(ref)) return refuse(`${JSON.stringify(ref)}: ${BUNDLE_FIRST}`);
    let target: string;
    try {
      target = decodeURIComponent(ref.slice(1));
    } catch {
      return refuse(`${JSON.stringify(ref)} has an invalid percent-encoding; write "%" itself as %25`);
    }
    return this.at(target) === undefined ? refuse(`${JSON.stringify(ref)} names nothing in this file`) : target;
  }
}

/**
 * Reads an OpenAPI document of version 3.0 or 3.1, JSON or YAML.
 * @throws PortcullisError `config_invalid` for what is neither
 */
export function readDocument(text: string, report: Report): OpenApiDocument {
  const root = parse(text);
  if (!isObject(root)) throw refusal('is no OpenAPI document; its root must be an object with `openapi: 3.1.0`');
  if (root['swagger'] !== undefined) {
    throw refusal('is of Swagger 2.0; convert it to OpenAPI 3 first, for example with `swagger2openapi`');
  }
  const version = root['openapi'];
  if (typeof version !== 'string' || !/^3\.[01](\.|$)/.test(version)) {
    const found = version === undefined ? 'there is no `openapi`' : `\`openapi\` is ${JSON.stringify(version)}`;
    throw refusal(`must be of OpenAPI 3.0 or 3.1 (\`openapi: 3.1.0\`); ${found}`);
  }
  return new OpenApiDocument(root, report);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Then it is YAML, or its parser says better what is wrong.
  }
  try {
    const document = parseDocument(text, { prettyErrors: true });
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const { message } = cause as Error;
    throw refusal(`is neither JSON nor YAML: ${message.split('\n')[0]}`, cause);
  }
}

function refusal(message: string, cause?: unknown): PortcullisError {
  return new PortcullisError('config_invalid', message, cause === undefined ? {} : { cause });
}
