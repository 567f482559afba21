import { parse } from 'yaml';
import type { Path } from '../api/problem.ts';
import type { CredentialSubject } from '../bundle/authentication.ts';
import type { Findings } from './finding.ts';
import { findSecret, type References } from './references.ts';
import { unknownWord } from './suggest.ts';

const MAX_ENTRIES = 1_000;
const MAX_TEXT = 256;
const SUBJECT_MEMBERS = ['subject', 'roles', 'tenant', 'tier'];

/** A file of a Secret that lists credentials. */
export interface CredentialFile {
  /** Name of the Secret. */
  readonly secret: string;
  readonly file: string;
  /** Path of the reference, which every problem is reported at. */
  readonly at: Path;
  /** Members of an entry besides those that say whom it stands for. */
  readonly members: readonly string[];
  /** The member that names an entry in messages: nothing secret. */
  readonly label: string;
  /** A line to write. */
  readonly example: string;
}

/** One entry of a file. Problems name it, and never show a value of it. */
export interface CredentialEntry {
  readonly value: Readonly<Record<string, unknown>>;
  refuse(problem: string): void;
}

/** The entries of a file, a YAML list of mappings; reports what is wrong with it. */
export function readCredentialFile(
  { secret: name, file, at, members, label, example }: CredentialFile,
  namespace: string,
  references: References,
  findings: Findings,
): readonly CredentialEntry[] {
  const secret = findSecret(name, at, `the list as its key ${file}`, namespace, references, findings);
  if (secret === null) return [];
  const refuse = (problem: string): void => findings.error(at, `Secret ${namespace}/${name}${problem}`, 'RefNotFound');
  const text = Object.hasOwn(secret.data, file) ? secret.data[file] : undefined;
  const found = Object.keys(secret.data).toSorted();
  if (text === undefined) {
    refuse(` has no key ${file}, only ${found.join(', ')}; write under stringData ${file}: |\n  ${example}`);
    return [];
  }
  const list = parsed(text);
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_ENTRIES) {
    refuse(`, key ${file}: must be a YAML list of 1 to ${MAX_ENTRIES} entries; write ${example}`);
    return [];
  }
  const known = [...members, ...SUBJECT_MEMBERS];
  return list.flatMap((value: unknown, index): CredentialEntry[] => {
    const called = isMapping(value) && isName(value[label]) ? ` (${value[label]})` : '';
    const entry = (problem: string): void => refuse(`, key ${file}, entry ${index + 1}${called}: ${problem}`);
    if (!isMapping(value)) {
      entry(`must be a mapping; write ${example}`);
      return [];
    }
    const unknown = Object.keys(value).find((member) => !known.includes(member));
    if (unknown !== undefined) {
      entry(`unknown member ${isName(unknown) ? unknownWord(unknown, known, 'members') : 'that is no name'}`);
      return [];
    }
    return [{ value, refuse: entry }];
  });
}

/** Whom an entry stands for; null: reported. `roles`: those of the policy; others are warned about. */
export function subjectOf(
  { value, refuse }: CredentialEntry,
  subject: unknown,
  roles: readonly string[],
  warn: (problem: string) => void,
): CredentialSubject | null {
  const { roles: held = [], tenant = null, tier = null } = value;
  const text = (name: string, given: unknown): given is string => {
    const fits = isName(given);
    if (!fits) refuse(`${name} must be a text of 1 to ${MAX_TEXT} characters, none of them a control character`);
    return fits;
  };
  const listed = Array.isArray(held) && held.every(isName);
  if (!listed) refuse('roles must be a list of texts, such as [trader]');
  const named = text('subject', subject);
  const ofTenant = tenant === null || text('tenant', tenant);
  const ofTier = tier === null || text('tier', tier);
  if (!listed || !named || !ofTenant || !ofTier) return null;
  for (const role of held) if (!roles.includes(role)) warn(`role ${unknownWord(role, roles, 'roles in spec.roles')}`);
  return { subject, roles: held, tenant: tenant as string | null, tier: tier as string | null };
}

/** Whether a value is a text that may be shown and compared. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_TEXT && !/[\x00-\x1f\x7f]/.test(value);
}

function parsed(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0, logLevel: 'error' });
  } catch {
    return undefined; // without the parser's words: they quote the text
  }
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
