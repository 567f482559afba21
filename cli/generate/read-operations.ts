import { isObject } from '../../policy/api/check-field.ts';
import { memberPointer } from '../../policy/evaluate/body/json-pointer.ts';
import type { JsonObject, OpenApiDocument } from './openapi-document.ts';
import { basePathOf, convertTemplate } from './path-template.ts';
import { oneLine, type Report } from './report.ts';

const METHODS: ReadonlySet<string> = new Set(['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']);
const OTHER_MEMBERS: ReadonlySet<string> = new Set(['$ref', 'summary', 'description', 'servers', 'parameters']);
const MAX_SUMMARY = 80;

/** One operation of a document that a rule can be about. */
export interface Operation {
  /** JSON Pointer (RFC 6901) of it. */
  readonly pointer: string;
  /** Upper case. */
  readonly method: string;
  /** Path pattern of a rule. */
  readonly path: string;
  /** The same for paths that match the same requests. */
  readonly shape: string;
  /** The operationId; null: it has none. */
  readonly id: string | null;
  /** One line, empty where the document says nothing. */
  readonly summary: string;
  /** The operation itself. */
  readonly value: JsonObject;
}

/** An operation that no rule can express. */
export interface LeftOut {
  /** Which it is and why, for people. */
  readonly text: string;
  /** With a shape that its requests and others match; null: no request of it comes to a rule. */
  readonly operation: Operation | null;
}

/** Operations in the document's order. */
export interface ReadOperations {
  readonly operations: readonly Operation[];
  readonly leftOut: readonly LeftOut[];
}

/**
 * Reads all operations; reports those that cannot be expressed.
 * @param basePath what stands before each path; null: the path of the first server's URL
 */
export function readOperations(document: OpenApiDocument, basePath: string | null, report: Report): ReadOperations {
  const { root } = document;
  const operations: Operation[] = [];
  const leftOut: LeftOut[] = [];
  if (root['webhooks'] !== undefined)
    report.note('/webhooks', 'requests that the API sends, not receives; no rules are made of them');
  if (root['paths'] !== undefined && !isObject(root['paths'])) report.error('/paths', 'must be an object');
  const paths = isObject(root['paths']) ? root['paths'] : {};
  for (const [template, item] of Object.entries(paths)) {
    if (template.startsWith('x-')) continue;
    const pointer = memberPointer('/paths', template);
    const resolved = document.resolve(item, pointer);
    if (resolved === null) continue;
    const pathItem: JsonObject = isObject(item) ? { ...resolved.value, ...item } : resolved.value;
    for (const [member, value] of Object.entries(pathItem)) {
      if (OTHER_MEMBERS.has(member) || member.startsWith('x-')) continue;
      const place = memberPointer(isObject(item) && Object.hasOwn(item, member) ? pointer : resolved.pointer, member);
      const method = member.toUpperCase();
      const dropped = (message: string, operation: Operation | null = null): void => {
        report.note(place, message);
        leftOut.push({ text: `${method} ${template}: ${message}`, operation });
      };
      if (!METHODS.has(member)) dropped('no operation of OpenAPI 3.0 or 3.1, left out');
      else if (member === 'trace') dropped('TRACE is refused before any rule, left out');
      else if (!isObject(value)) report.error(place, 'an operation is an object');
      else {
        const base = basePath ?? serverPath(value['servers'] ?? pathItem['servers'] ?? root['servers'], place, report);
        const bare = template.replace(/[?#].*$/s, '');
        if (bare !== template) report.note(place, 'query and fragment are no part of a match; the rule is for any');
        const converted = convertTemplate(base, bare);
        const { operationId, summary } = value;
        const operation = {
          pointer: place,
          method,
          path: converted.ok ? converted.path : bare,
          shape: converted.shape ?? '',
          id: typeof operationId === 'string' && operationId !== '' ? operationId : null,
          summary: typeof summary === 'string' ? shortened(oneLine(summary)) : '',
          value,
        };
        if (converted.ok) operations.push(operation);
        else {
          const message = `no path pattern says this: ${converted.message}; left out, write the rule by hand`;
          dropped(message, converted.shape === null ? null : operation);
        }
      }
    }
  }
  if (operations.length === 0 && !report.failed) report.error('/paths', 'there is no operation to make a rule of');
  return { operations, leftOut };
}

function serverPath(servers: unknown, pointer: string, report: Report): string {
  if (!Array.isArray(servers) || servers.length === 0) return '';
  const paths = servers.map((server: unknown) => {
    const { url, variables } = isObject(server) ? server : {};
    const defaults = Object.entries(isObject(variables) ? variables : {}).flatMap(
      ([name, variable]): [string, string][] => {
        const value = isObject(variable) ? variable['default'] : undefined;
        return value === undefined ? [] : [[name, String(value)]];
      },
    );
    return typeof url === 'string' ? basePathOf(url, new Map(defaults)) : null;
  });
  const [first] = paths;
  if (first === null || first === undefined) {
    report.error(pointer, 'the path of its first server cannot be told; give --base-path PATH ("/" for none)');
    return '';
  }
  if (paths.some((path) => path !== first))
    report.note(
      pointer,
      `its servers differ in path; that of the first, "${first}/", was taken, --base-path gives another`,
    );
  return first;
}

function shortened(text: string): string {
  return text.length <= MAX_SUMMARY ? text : `${text.slice(0, MAX_SUMMARY).toWellFormed()}…`;
}
