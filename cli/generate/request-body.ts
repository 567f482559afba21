import { isObject } from '../../policy/api/check-field.ts';
import { compileBody } from '../../policy/evaluate/body/compile-body.ts';
import { memberPointer } from '../../policy/evaluate/body/json-pointer.ts';
import { formatOf, parseMediaType } from '../../policy/evaluate/body/media-type.ts';
import { BodySchemaWriter } from './body-schema.ts';
import type { RuleBody } from './group-rules.ts';
import type { OpenApiDocument } from './openapi-document.ts';
import type { Operation } from './read-operations.ts';
import type { Report } from './report.ts';

const MAX_CONTENT_TYPES = 8;
/** Guesses, since documents do not say: of bodies that are checked, and of others. */
const SIZES = { checked: { text: '64Ki', bytes: 65_536 }, unchecked: { text: '1Mi', bytes: 1_048_576 } };

/** What a rule is to say of an operation's body; null: nothing, and reported why where the document says more. */
export function requestBody(document: OpenApiDocument, operation: Operation, report: Report): RuleBody | null {
  const value = operation.value['requestBody'];
  if (value === undefined) return null;
  const resolved = document.resolve(value, `${operation.pointer}/requestBody`);
  if (resolved === null) return null;
  const { content, required } = resolved.value;
  const contentPointer = `${resolved.pointer}/content`;
  const media = readMediaTypes(content, contentPointer, report);
  if (media === null) return null;
  if (required !== true) report.note(resolved.pointer, 'an optional body is demanded, except of GET, HEAD and DELETE');
  const contentTypes = [...new Set(media.map(({ type }) => type))];
  const checked = contentTypes.every((type) => formatOf(type) === 'json');
  const size = checked ? SIZES.checked : SIZES.unchecked;
  const plain = { contentTypes, maxBytes: size.text };
  const schemas = media.filter(({ value }) => value !== undefined);
  if (!checked || schemas.length < media.length) {
    const message = checked ? 'one of its media types has no schema' : 'a schema is checked of JSON alone';
    if (schemas.length > 0) report.note(contentPointer, `${message}; only type and size are checked`);
    return plain;
  }
  const schema = new BodySchemaWriter(document, report).write(schemas);
  if (Object.keys(schema).length === 0) return plain;
  const compiled = compileBody({ contentTypes, maxBytes: size.bytes, schema, rules: [] });
  if (compiled.ok) return { ...plain, schema };
  const problems = compiled.problems.map(({ path, message }) => `${path.slice(1).join('/')}: ${message}`);
  report.note(contentPointer, `its schema is not checked, only type and size: ${problems.slice(0, 3).join('; ')}`);
  return plain;
}

interface BodyMedia {
  readonly type: string;
  /** Undefined: no schema. */
  readonly value: unknown;
  readonly pointer: string;
}

function readMediaTypes(content: unknown, pointer: string, report: Report): readonly BodyMedia[] | null {
  const leave = (place: string, message: string): null => {
    report.note(place, `${message}; bodies are not checked`);
    return null;
  };
  if (!isObject(content) || Object.keys(content).length === 0) return leave(pointer, 'names no media type');
  const media: BodyMedia[] = [];
  for (const [name, value] of Object.entries(content)) {
    const place = memberPointer(pointer, name);
    const type = parseMediaType(name)?.type;
    if (type === undefined || type.includes('*') || type.length > 127) return leave(place, 'is not one media type');
    if (!isObject(value)) return leave(place, 'is no object');
    media.push({ type, value: value['schema'], pointer: `${place}/schema` });
  }
  return media.length <= MAX_CONTENT_TYPES ? media : leave(pointer, `has more than ${MAX_CONTENT_TYPES} media types`);
}
