import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import { kinds, type Resource } from '../../policy/api/kinds.ts';
import type { Problem } from '../../policy/api/problem.ts';
import type { RateLimitPolicy } from '../../policy/api/rate-limit-policy.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import type { ReferencedConfigMap } from '../../policy/compile/find-schema.ts';
import type { ReferencedSecret } from '../../policy/compile/references.ts';
import type { PolicyFile } from './policy-files.ts';
import { readConfigMap } from './read-config-map.ts';
import { isObject, readSecret } from './read-secret.ts';
import { type AffectedBundle, problemAt, type SourceDocument, type SourceProblem } from './source-problem.ts';

const OUR_GROUP = 'portcullis.dev';

/** A resource and what decoding found wrong with it; then it has only the shape of its type. */
export interface SourceResource<R extends Resource> {
  readonly source: SourceDocument;
  readonly resource: R;
  readonly problems: readonly Problem[];
}

/** What a directory of policies holds. */
export interface ParsedPolicies {
  readonly keySets: readonly SourceResource<SigningKeySet>[];
  readonly accessPolicies: readonly SourceResource<AccessPolicy>[];
  readonly limitPolicies: readonly SourceResource<RateLimitPolicy>[];
  readonly secrets: readonly ReferencedSecret[];
  readonly configMaps: readonly ReferencedConfigMap[];
  /** What is wrong outside those resources, and with documents too broken to be one of them. */
  readonly problems: readonly SourceProblem[];
}

/** Reads the documents of all files: our three kinds, and Secrets and ConfigMaps that they refer to. Everything wrong is reported at once. */
export function parsePolicies(files: readonly PolicyFile[]): ParsedPolicies {
  const parser = new Parser();
  for (const file of files) parser.addFile(file);
  return parser;
}

class Parser implements ParsedPolicies {
  readonly keySets: SourceResource<SigningKeySet>[] = [];
  readonly accessPolicies: SourceResource<AccessPolicy>[] = [];
  readonly limitPolicies: SourceResource<RateLimitPolicy>[] = [];
  readonly secrets: ReferencedSecret[] = [];
  readonly configMaps: ReferencedConfigMap[] = [];
  readonly problems: SourceProblem[] = [];
  /** Where each object was seen first. */
  readonly #seen = new Map<string, string>();

  addFile({ file, text }: PolicyFile): void {
    const lines = new LineCounter();
    // Messages without the source lines that yaml would add, and no warnings of its own: a Secret may stand there.
    const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
    if (!Array.isArray(documents)) return; // an empty file
    for (const document of documents) this.#addDocument({ file, document, lines });
  }

  #addDocument(source: SourceDocument): void {
    const { document, file, lines } = source;
    for (const { pos, message } of document.errors) {
      const { line, col } = lines.linePos(pos[0]);
      this.problems.push({ severity: 'error', affects: null, text: `${file}:${line}:${col} not YAML: ${message}` });
    }
    if (document.errors.length > 0 || document.contents === null) return;
    const value = this.#valueOf(document, source);
    if (value === undefined || value === null) return;
    if (!isObject(value) || !isOthers(value)) this.#addOurs(source, value);
    else if (value['kind'] === 'Secret') this.#addSecret(source, value);
    else if (value['kind'] === 'ConfigMap') this.#addConfigMap(source, value);
    else {
      const known = kinds.map(({ kind }) => kind).join(', ');
      const message = `${String(value['kind'])} is left out: ${known}, Secret and ConfigMap are read here`;
      this.problems.push(problemAt(source, ['kind'], message, { severity: 'warning' }));
    }
  }

  #valueOf(document: Document, source: SourceDocument): unknown {
    try {
      return document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      this.problems.push(problemAt(source, [], `cannot be read: ${(error as Error).message}`));
      return undefined;
    }
  }

  #addOurs(source: SourceDocument, value: unknown): void {
    const decoded = decodeResource(value);
    const problems = 'problems' in decoded ? decoded.problems : [];
    const resource = 'problems' in decoded ? decoded.faulty : decoded.resource;
    if (resource === undefined) {
      const affects = affectedBy(isObject(value) ? value['kind'] : undefined);
      for (const { path, message } of problems) this.problems.push(problemAt(source, path, message, { affects }));
      return;
    }
    if (!this.#isFirst(source, resource.kind, resource.metadata)) return;
    switch (resource.kind) {
      case 'SigningKeySet':
        this.keySets.push({ source, resource, problems });
        break;
      case 'AccessPolicy':
        this.accessPolicies.push({ source, resource, problems });
        break;
      case 'RateLimitPolicy':
        this.limitPolicies.push({ source, resource, problems });
    }
  }

  #addSecret(source: SourceDocument, value: Readonly<Record<string, unknown>>): void {
    const { secret, problems } = readSecret(source, value);
    this.problems.push(...problems);
    if (secret !== null && this.#isFirst(source, 'Secret', secret)) this.secrets.push(secret);
  }

  #addConfigMap(source: SourceDocument, value: Readonly<Record<string, unknown>>): void {
    const { configMap, problems } = readConfigMap(source, value);
    this.problems.push(...problems);
    if (configMap !== null && this.#isFirst(source, 'ConfigMap', configMap)) this.configMaps.push(configMap);
  }

  #isFirst(source: SourceDocument, kind: string, { namespace, name }: { namespace: string; name: string }): boolean {
    const object = `${kind} ${namespace}/${name}`;
    const earlier = this.#seen.get(object);
    if (earlier === undefined) {
      const { line } = source.lines.linePos(source.document.range?.[0] ?? 0);
      this.#seen.set(object, `${source.file}:${line}`);
      return true;
    }
    const message = `${object} stands at ${earlier} already; give one of them another name`;
    this.problems.push(problemAt(source, ['metadata', 'name'], message, { affects: affectedBy(kind) }));
    return false;
  }
}

/** Which bundle a document of this kind would change. */
function affectedBy(kind: unknown): AffectedBundle {
  if (kind === 'AccessPolicy') return 'access';
  return kind === 'RateLimitPolicy' ? 'limits' : null;
}

/** Whether a document is somebody else's: of another API group, and not one of our kinds by a slip in apiVersion. */
function isOthers(value: Readonly<Record<string, unknown>>): boolean {
  const { apiVersion, kind } = value;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return false;
  return !apiVersion.startsWith(OUR_GROUP) && !kinds.some((known) => known.kind === kind);
}
