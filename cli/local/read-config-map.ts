import type { ReferencedConfigMap } from '../../policy/compile/find-schema.ts';
import { isObject } from './read-secret.ts';
import { problemAt, type SourceDocument, type SourceProblem } from './source-problem.ts';

/** Reads a `kind: ConfigMap` document (core/v1) as far as policies may refer to it; binaryData is left out. */
export function readConfigMap(
  source: SourceDocument,
  value: Readonly<Record<string, unknown>>,
): { readonly configMap: ReferencedConfigMap | null; readonly problems: readonly SourceProblem[] } {
  const problems: SourceProblem[] = [];
  const refuse = (path: readonly string[], message: string) => void problems.push(problemAt(source, path, message));
  const metadata = isObject(value['metadata']) ? value['metadata'] : {};
  const { name, namespace = 'default', labels } = metadata;
  if (typeof name !== 'string' || name === '') refuse(['metadata', 'name'], 'is required: the name of the ConfigMap');
  if (typeof namespace !== 'string') refuse(['metadata', 'namespace'], 'must be a string');
  const data: Record<string, string> = {};
  const written = value['data'] ?? {};
  if (!isObject(written)) refuse(['data'], 'must be an object');
  for (const [key, text] of Object.entries(isObject(written) ? written : {})) {
    if (typeof text === 'string') data[key] = text;
    else refuse(['data', key], 'must be a string; write it as a block, after |');
  }
  if (problems.length > 0) return { configMap: null, problems };
  const isText = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === 'string';
  const texts = Object.fromEntries(Object.entries(isObject(labels) ? labels : {}).filter(isText));
  return { configMap: { name: String(name), namespace: String(namespace), labels: texts, data }, problems };
}
