import { ANNOTATIONS, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import { didYouMean } from '../../policy/api/nearest.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { CoverageSettings } from './coverage.ts';
import { readIssuer } from './coverage-tls.ts';

/** What the annotations of one object ask for; a setting is absent when its annotation is, or when its value is of no use. */
export interface Asked {
  /** How messages name the object. */
  readonly holder: string;
  readonly settings: Partial<AskedSettings>;
  /** `inject: "false"`. */
  readonly optOut: boolean;
  /** Names or numbers of container ports. */
  readonly skipPorts: readonly string[];
  /** An entry that cannot be read has an empty key, which no Secret has. */
  readonly requiredSecrets: CoverageSettings['requiredSecrets'];
  /** Why no pod can be admitted: the name of a policy that no policy can have; null: it is not so. */
  readonly misnamed: string | null;
  /** `tls-issuer`, as written; null: none is named. */
  readonly tlsIssuer: string | null;
  /** Why no pod can be admitted that is guarded: TLS is asked for in a way that none can have, and plain HTTP is no answer; null: it is not so. */
  readonly badTls: string | null;
  /** Sentences for people. */
  readonly warnings: readonly string[];
}

/** The settings that take one value. */
export type AskedSettings = {
  [K in SettingName]: K extends keyof CoverageSettings ? NonNullable<CoverageSettings[K]> : string;
};

/** Names of the settings that take one value, as in `ANNOTATIONS`. */
export const SETTING_NAMES = [
  'accessPolicy',
  'rateLimitPolicy',
  'candidateAccessPolicy',
  'candidateRateLimitPolicy',
  'capture',
  'bindEnv',
  'harden',
  'rollout',
  'networkPolicy',
  'issueTokens',
  'tlsSecret',
] as const;

type SettingName = (typeof SETTING_NAMES)[number];

interface Reader<T> {
  /** Undefined: of no use. */
  readonly read: (text: string) => T | undefined;
  /** What to write, and what holds until then. */
  readonly write: string;
}

const POLICY_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;
const SECRET_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;
const SECRET_KEY = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\/([A-Za-z0-9._-]{1,253})$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const PORT = /^(?:[0-9]{1,5}|[a-z0-9-]*[a-z][a-z0-9-]*)$/;

/** Whoever writes a Service decides how much is written in its annotations; each pod that it selects is held up by reading them. */
const MOST_UNKNOWN = 16;
const MOST_ENTRIES = 64;

const name = (text: string): string | undefined => (POLICY_NAME.test(text) ? text : undefined);

function oneOf<T extends string>(...words: T[]): (text: string) => T | undefined {
  return (text) => words.find((word) => word === text);
}

const READERS: { readonly [K in SettingName]: Reader<AskedSettings[K]> } = {
  accessPolicy: {
    read: name,
    write: 'write the name of an AccessPolicy, such as orders; no pod is admitted until then',
  },
  rateLimitPolicy: {
    read: name,
    write: 'write the name of a RateLimitPolicy, such as standard; no pod is admitted until then',
  },
  candidateAccessPolicy: {
    read: name,
    write: 'write the name of an AccessPolicy, such as orders-next; none is tried until then',
  },
  candidateRateLimitPolicy: {
    read: name,
    write: 'write the name of a RateLimitPolicy, such as standard-next; none is tried until then',
  },
  capture: { read: oneOf('Takeover', 'Bind'), write: 'write Takeover or Bind; the default holds until then' },
  bindEnv: {
    read: (text) => (VARIABLE.test(text) ? text : undefined),
    write: 'write the name of a variable, such as HOST; none is set until then',
  },
  harden: {
    read: oneOf('Restricted', 'ReadOnly'),
    write: 'write Restricted or ReadOnly; nothing is filled in until then',
  },
  rollout: { read: oneOf('Auto', 'Report'), write: 'write Auto or Report; Report holds until then' },
  networkPolicy: { read: oneOf('Generate'), write: 'write Generate or leave it out; none is made until then' },
  issueTokens: {
    read: (text) => (text === 'true' || text === 'false' ? text === 'true' : undefined),
    write: 'write "true" or "false"; the pods issue none until then',
  },
  tlsSecret: {
    read: (text) => (SECRET_NAME.test(text) ? text : undefined),
    write: 'write the name of a Secret, such as orders-tls; no pod is admitted until then',
  },
};

const LISTS_AND_FLAGS = [ANNOTATIONS.skipPorts, ANNOTATIONS.requiredSecrets, ANNOTATIONS.inject, ANNOTATIONS.tlsIssuer];
const KNOWN: readonly string[] = [...SETTING_NAMES.map((setting) => ANNOTATIONS[setting]), ...LISTS_AND_FLAGS];
const IGNORED: readonly string[] = Object.values(OWN_ANNOTATIONS);

/** Reads the annotations of a pod, Service or namespace; never throws. */
export function readAnnotations(holder: string, annotations: KubeObject['metadata']['annotations'] = {}): Asked {
  const warnings: string[] = [];
  const warn = (annotation: string, rest: string): string => {
    warnings.push(`${holder}: ${annotation}: ${rest}`);
    return warnings.at(-1)!;
  };

  const unknown = Object.keys(annotations).filter(
    (annotation) =>
      annotation.startsWith('portcullis.dev/') && !KNOWN.includes(annotation) && !IGNORED.includes(annotation),
  );
  for (const annotation of unknown.slice(0, MOST_UNKNOWN)) {
    warn(annotation, `there is no such annotation${didYouMean(annotation, KNOWN)}`);
  }

  let misnamed: string | null = null;
  let badTls: string | null = null;
  const settings: Partial<Record<SettingName, string | boolean>> = {};
  for (const setting of SETTING_NAMES) {
    const text = annotations[ANNOTATIONS[setting]];
    if (text === undefined) continue;
    const { read, write } = READERS[setting];
    const value = read(text);
    if (value !== undefined) settings[setting] = value;
    else if (text === 'Redirect' && setting === 'capture')
      warn(ANNOTATIONS.capture, `Redirect is not available yet; ${write}`);
    else {
      const warning = warn(ANNOTATIONS[setting], `${JSON.stringify(text)} is of no use: ${write}`);
      if (setting === 'accessPolicy' || setting === 'rateLimitPolicy') misnamed ??= warning;
      if (setting === 'tlsSecret') badTls ??= warning;
    }
  }

  const issuer = annotations[ANNOTATIONS.tlsIssuer];
  const isIssuer = issuer !== undefined && readIssuer(issuer) !== undefined;
  if (issuer !== undefined && !isIssuer) {
    badTls ??= warn(
      ANNOTATIONS.tlsIssuer,
      `${JSON.stringify(issuer)} is of no use: write the name of an Issuer of cert-manager, such as internal-ca, or ClusterIssuer/NAME; no pod is admitted until then`,
    );
  }

  const inject = annotations[ANNOTATIONS.inject];
  if (inject !== undefined && inject !== 'false' && inject !== 'true')
    warn(ANNOTATIONS.inject, `${JSON.stringify(inject)} is of no use: write "false" to opt out; it is not opted out`);

  const skipPorts = entries(annotations[ANNOTATIONS.skipPorts]).filter((entry, index) => {
    if (index === MOST_ENTRIES) {
      warn(ANNOTATIONS.skipPorts, `what comes after entry ${MOST_ENTRIES} is not read and not skipped`);
      return false;
    }
    if (PORT.test(entry)) return true;
    warn(
      ANNOTATIONS.skipPorts,
      `${JSON.stringify(entry)} is no port: write numbers or names, such as "9000,metrics"; it is not skipped`,
    );
    return false;
  });

  const requiredSecrets = entries(annotations[ANNOTATIONS.requiredSecrets]).map((entry, index) => {
    if (index === MOST_ENTRIES) {
      warn(ANNOTATIONS.requiredSecrets, `what comes after entry ${MOST_ENTRIES} is not read and counts as missing`);
      return { secret: `what comes after entry ${MOST_ENTRIES}`, key: '' };
    }
    const [, secret, key] = SECRET_KEY.exec(entry) ?? [];
    if (secret !== undefined && key !== undefined) return { secret, key };
    warn(
      ANNOTATIONS.requiredSecrets,
      `${JSON.stringify(entry)} is no key of a Secret: write SECRET/KEY, such as bot/jwt_key; it counts as missing`,
    );
    return { secret: entry, key: '' };
  });

  return {
    holder,
    settings: settings as Partial<AskedSettings>,
    optOut: inject === 'false',
    skipPorts,
    requiredSecrets,
    misnamed,
    tlsIssuer: isIssuer ? issuer : null,
    badTls,
    warnings,
  };
}

/** One more than are read, so that it shows. */
function entries(list = ''): string[] {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .slice(0, MOST_ENTRIES + 1);
}
