import { isObject } from '../../policy/api/check-field.ts';
import { memberPointer } from '../../policy/evaluate/body/json-pointer.ts';
import type { OpenApiDocument } from './openapi-document.ts';
import type { Operation } from './read-operations.ts';
import { oneLine, type Report } from './report.ts';
import { permissionOf, subjectOf, UniqueNames } from './unique-names.ts';

/** Where permissions come from: scopes of OAuth 2 and OpenID Connect and tags where there are none, tags alone, or nowhere. */
export const PERMISSION_SOURCES = ['scopes', 'tags', 'none'] as const;
export type PermissionSource = (typeof PERMISSION_SOURCES)[number];

/** One way to be let in, as `allow` of a rule has it. */
export type AllowEntry =
  | { readonly anonymous: true }
  | { readonly authenticated: true }
  | { readonly permissions: readonly string[] };

/** Where a token is looked for, as `from` of an issuer has it. */
export type TokenSource = { readonly header: string; readonly scheme: string } | { readonly cookie: string };

const MAX_ENTRIES = 8;
const MAX_PERMISSIONS = 16;
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether a method only reads (RFC 9110 section 9.2.1), as far as an OpenAPI document has it. */
export function isRead(method: string): boolean {
  return READS.has(method);
}

/** Decides for each operation of a document who is let in, by its `security`. */
export class AccessReader {
  readonly #document: OpenApiDocument;
  readonly #source: PermissionSource;
  readonly #report: Report;
  readonly #subjects = new UniqueNames(subjectOf, 50);
  readonly #permissions = new UniqueNames(permissionOf);
  readonly #cookies = new Set<string>();
  /** A document that demands nothing anywhere says nothing of security, and leaves it to us. */
  readonly #speaks: boolean;

  constructor(document: OpenApiDocument, operations: readonly Operation[], source: PermissionSource, report: Report) {
    this.#document = document;
    this.#source = source;
    this.#report = report;
    this.#speaks = [document.root, ...operations.map(({ value }) => value)].some(
      ({ security }) => Array.isArray(security) && security.some((one) => isObject(one) && Object.keys(one).length > 0),
    );
    if (!this.#speaks) {
      const message =
        'no operation says what it demands (`security`), so each is guessed to need a permission by its tag';
      report.note(null, message);
    }
  }

  /** Ways to be let in; any suffices. */
  read(operation: Operation): readonly AllowEntry[] {
    const { value, pointer, method } = operation;
    const own = value['security'] !== undefined;
    const security = own ? value['security'] : this.#document.root['security'];
    const place = own ? `${pointer}/security` : '/security';
    if (security === undefined) {
      if (!this.#speaks) return this.#byTag(operation);
      this.#report.note(pointer, 'says nothing of security and so lets everyone in');
      return [{ anonymous: true }];
    }
    if (!Array.isArray(security) || !security.every(isObject)) {
      this.#report.error(place, 'must be a list of objects, such as [{ bearer: [] }]');
      return [];
    }
    if (security.length === 0) return [{ anonymous: true }];
    if (security.some((requirement) => Object.keys(requirement).length === 0)) {
      this.#report.note(place, 'security is optional ({}), so everyone is let in');
      return [{ anonymous: true }];
    }
    const ways = security.map((requirement, at) => this.#scopes(requirement, `${place}/${at}`));
    if (this.#source !== 'scopes') return this.#byTag(operation);
    const scoped = ways.filter((scopes) => scopes.length > 0);
    if (scoped.length === 0) return this.#byTag(operation);
    if (scoped.length < ways.length)
      this.#report.note(place, 'of several ways in, those without scopes were left out: they would let in any token');
    const entries = new Map(
      scoped.map((scopes) => {
        const permissions = [...new Set(scopes.map((scope) => this.#permission(scope, place)))].sort();
        return [permissions.join(' '), { permissions }];
      }),
    );
    this.#checkSizes([...entries.values()], place, method);
    return [...entries.values()];
  }

  /** Places of a token by the security schemes that were read so far. */
  get tokenSources(): readonly TokenSource[] {
    return [{ header: 'Authorization', scheme: 'Bearer' }, ...[...this.#cookies].map((cookie) => ({ cookie }))];
  }

  #byTag({ value, path, pointer, method }: Operation): readonly AllowEntry[] {
    if (this.#source === 'none') return [{ authenticated: true }];
    const tags = Array.isArray(value['tags']) ? value['tags'].filter((tag) => typeof tag === 'string') : [];
    if (tags.length > 1) this.#report.note(`${pointer}/tags`, 'the first of several tags names the permission');
    // Without a tag the first literal segment that is no version says best what it is about.
    const segments = path.split('/').filter((part) => part !== '' && !/^(\{.*|api|v\d.*)$/.test(part));
    if (tags.length === 0) this.#report.note(pointer, 'has no tag; its path names the permission');
    const subject = this.#subjects.of(tags[0] ?? segments[0] ?? 'api');
    return [{ permissions: [this.#permissions.of(`${subject}:${isRead(method) ? 'read' : 'write'}`)] }];
  }

  #scopes(requirement: Readonly<Record<string, unknown>>, place: string): readonly string[] {
    return Object.entries(requirement).flatMap(([name, scopes]) => {
      const pointer = memberPointer(place, name);
      this.#readScheme(name, pointer);
      if (Array.isArray(scopes) && scopes.every((scope) => typeof scope === 'string')) return scopes;
      this.#report.error(pointer, 'must be a list of scopes, [] for none');
      return [];
    });
  }

  #readScheme(name: string, used: string): void {
    const pointer = memberPointer('/components/securitySchemes', name);
    const value = this.#document.at(pointer);
    if (value === undefined) {
      this.#report.error(
        used,
        `there is no security scheme ${JSON.stringify(name)} in components.securitySchemes; add it`,
      );
      return;
    }
    const scheme = this.#document.resolve(value, pointer)?.value;
    if (scheme === undefined) return;
    const { type, in: where, name: parameter } = scheme;
    if (type === 'oauth2' || type === 'openIdConnect') return;
    if (type === 'http' && String(scheme['scheme']).toLowerCase() === 'bearer') return;
    if (type === 'apiKey' && where === 'header' && String(parameter).toLowerCase() === 'authorization') return;
    if (
      type === 'apiKey' &&
      where === 'cookie' &&
      /^[\w.-]{1,128}$/.test(String(parameter)) &&
      this.#cookies.size < 7
    ) {
      this.#cookies.add(String(parameter));
      this.#report.note(pointer, `a signed token (JWT) is expected in the cookie ${parameter}`);
      return;
    }
    const kind = oneLine([type, where ?? scheme['scheme']].filter((word) => word !== undefined).join(' '));
    this.#report.note(pointer, `${kind}: a signed token (JWT) in Authorization: Bearer is demanded instead`);
  }

  #permission(scope: string, place: string): string {
    const permission = this.#permissions.of(scope);
    if (permission !== scope) {
      const message = `scope ${JSON.stringify(scope)} is permission ${permission}: letters, digits and :._/- , 63 at most`;
      this.#report.note(place, message);
    }
    return permission;
  }

  #checkSizes(entries: readonly { permissions: readonly string[] }[], place: string, method: string): void {
    if (entries.length > MAX_ENTRIES || entries.some(({ permissions }) => permissions.length > MAX_PERMISSIONS)) {
      const message = `${method} has more than ${MAX_ENTRIES} ways in or ${MAX_PERMISSIONS} scopes in one`;
      this.#report.error(place, `${message}, which no rule holds; use --permissions tags`);
    }
  }
}
