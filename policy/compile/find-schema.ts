import { isObject } from '../api/check-field.ts';
import { LABELS } from '../api/names.ts';
import type { Path } from '../api/problem.ts';
import type { Findings } from './finding.ts';
import type { References } from './references.ts';

/** A Kubernetes ConfigMap. */
export interface ReferencedConfigMap {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

/** Where a schema stands that a rule does not hold itself. */
export interface SchemaRef {
  readonly configMap: { readonly name: string; readonly key: string };
}

/** The JSON Schema that a ConfigMap of this namespace holds; null: reported at `path`, that of the reference. */
export function findSchema(
  { configMap: { name, key } }: SchemaRef,
  path: Path,
  namespace: string,
  { configMaps = [] }: References,
  findings: Findings,
): Readonly<Record<string, unknown>> | null {
  const at = [...path, 'configMap'];
  const title = `ConfigMap ${namespace}/${name}`;
  const label = `${LABELS.allowReference}: "true"`;
  const found = configMaps.find((each) => each.namespace === namespace && each.name === name);
  if (found === undefined) {
    // The operator lists no others, so it cannot tell which of the two it is.
    findings.error([...at, 'name'], `${title} does not exist, or lacks the label ${label}`, 'RefNotFound');
    return null;
  }
  if (found.labels[LABELS.allowReference] !== 'true') {
    findings.error(
      [...at, 'name'],
      `${title} may not be read by policies; give it the label ${label}`,
      'RefNotPermitted',
    );
    return null;
  }
  const text = Object.hasOwn(found.data, key) ? found.data[key] : undefined;
  if (text === undefined) {
    const keys = Object.keys(found.data).slice(0, MOST_KEYS).join(', ');
    const there = keys === '' ? 'it is empty, or holds more than 256 KiB' : `it has ${keys}`;
    findings.error([...at, 'key'], `${title} has no key ${JSON.stringify(key)}; ${there}`, 'RefNotFound');
    return null;
  }
  try {
    const schema: unknown = JSON.parse(text);
    if (isObject(schema)) return schema;
  } catch {
    // Said below.
  }
  findings.error([...at, 'key'], `${title}, key ${key}: must be one JSON Schema, an object written as JSON`);
  return null;
}

const MOST_KEYS = 8;
