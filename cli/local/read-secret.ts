import type { ReferencedSecret } from '../../policy/compile/references.ts';
import { problemAt, type SourceDocument, type SourceProblem } from './source-problem.ts';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Reads a `kind: Secret` document (core/v1): `data` in base64, `stringData` as it is. Problems never show a value. */
export function readSecret(
  source: SourceDocument,
  value: Readonly<Record<string, unknown>>,
): { readonly secret: ReferencedSecret | null; readonly problems: readonly SourceProblem[] } {
  const problems: SourceProblem[] = [];
  const refuse = (path: readonly string[], message: string) => void problems.push(problemAt(source, path, message));
  const metadata = value['metadata'];
  const name = isObject(metadata) ? metadata['name'] : undefined;
  const namespace = (isObject(metadata) ? metadata['namespace'] : undefined) ?? 'default';
  if (typeof name !== 'string' || name === '') refuse(['metadata', 'name'], 'is required: the name of the Secret');
  if (typeof namespace !== 'string') refuse(['metadata', 'namespace'], 'must be a string');
  const labels = isObject(metadata) ? (metadata['labels'] ?? {}) : {};
  const data: Record<string, string> = {};
  for (const [key, encoded] of textsOf('data')) {
    const compact = encoded.replace(/\s/g, '');
    if (BASE64.test(compact)) data[key] = Buffer.from(compact, 'base64').toString('utf8');
    else refuse(['data', key], 'must be base64; write plain text under stringData');
  }
  for (const [key, text] of textsOf('stringData')) data[key] = text;
  if (problems.length > 0) return { secret: null, problems };
  const secret = { name: String(name), namespace: String(namespace), labels: stringsOf(labels), data };
  return { secret, problems };

  function textsOf(member: string): readonly [string, string][] {
    const map = value[member] ?? {};
    if (!isObject(map)) {
      refuse([member], 'must be an object');
      return [];
    }
    return Object.entries(map).flatMap(([key, text]): [string, string][] => {
      if (typeof text === 'string') return [[key, text]];
      refuse([member, key], 'must be a string; put it in quotes');
      return [];
    });
  }
}

function stringsOf(map: unknown): Readonly<Record<string, string>> {
  if (!isObject(map)) return {};
  return Object.fromEntries(
    Object.entries(map).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** Whether a parsed YAML value is a mapping. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
