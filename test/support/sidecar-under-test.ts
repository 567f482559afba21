import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import { testPrivateKey } from '../../policy/bundle/testing/example-bundles.ts';
import type { IssuerBundle } from '../../policy/bundle/tokens.ts';
import type { AccessBundle, AccessRule, Bundle, LimitsBundle } from '../../policy/bundle/types.ts';
import { type RunningSidecar, startSidecar } from '../../sidecar/start-sidecar.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { memoryLog } from './memory-log.ts';
import { type RecordingUpstream, recordingUpstream } from './recording-upstream.ts';

/** A sidecar with a policy of the test's own, in front of an upstream that records what reaches it. */
export interface SidecarUnderTest {
  readonly port: number;
  readonly adminPort: number;
  readonly upstream: RecordingUpstream;
  readonly sidecar: RunningSidecar;
  /** A valid token of the issuer that `start` set up, with further claims. */
  token(claims?: Readonly<Record<string, unknown>>): string;
  /** Log lines written so far. */
  log(): readonly string[];
  /** Signs and writes the bundles that are given, their serial one higher, and waits until the sidecar has looked at them. */
  publish(change: PolicyUnderTest): Promise<void>;
  stop(): Promise<void>;
}

/** The members of the policies that a test is about; the rest lets every request through. */
export interface PolicyUnderTest {
  readonly access?: Partial<AccessBundle>;
  /** Left out: the sidecar has no rate limit policy. */
  readonly limits?: Partial<LimitsBundle>;
  /** Left out: what its tokens are signed by has not reached the sidecar. */
  readonly issuer?: Partial<IssuerBundle>;
  /** Path of its control socket; left out: none. */
  readonly controlSocket?: string;
  /** Tried beside them; left out at the start: the sidecar has no candidate of that kind. */
  readonly candidateAccess?: Partial<AccessBundle>;
  readonly candidateLimits?: Partial<LimitsBundle>;
}

const NAMESPACE = 'test';
/** Signs the bundles of tests. */
export const signer = testPrivateKey(7);
const issuer = makeTestKey('ES256', 'test-key');

/** A rule for any host and method. */
export function rule(
  name: string,
  paths: readonly string[],
  allow: AccessRule['allow'],
  more: Partial<AccessRule['match']> = {},
): AccessRule {
  return { name, match: { hosts: [], paths, methods: [], ...more }, allow };
}

/** Lets everyone do everything. */
export const openToAll: AccessRule = rule('open', ['/**'], [{ anonymous: true }]);

/** The access bundle that tests begin with. */
export const baseAccess: AccessBundle = {
  kind: 'Access',
  namespace: NAMESPACE,
  name: 'access',
  serial: 1,
  mode: 'Enforce',
  store: null,
  clientIp: null,
  defaults: { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
  jwt: [testAuthenticator([issuer])],
  identity: { user: ['/sub'], roles: ['/roles'], tenant: ['/tenant_id'], tier: ['/tier'] },
  roles: [{ name: 'admin', permissions: ['*'] }],
  rules: [openToAll],
  pathMatching: { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' },
  cors: null,
  securityHeaders: [],
  forward: { identityHeaders: true },
};

/** The limits bundle that tests begin with. */
export const baseLimits: LimitsBundle = {
  kind: 'Limits',
  namespace: NAMESPACE,
  name: 'limits',
  serial: 1,
  mode: 'Enforce',
  store: null,
  clientIp: null,
  defaults: { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
  tiers: [],
  limits: [],
  timeouts: { connectMs: 1_000, requestMs: 2_000, idleMs: 2_000 },
};

/** The issuer bundle that tests begin with: it signs by the key whose tokens `baseAccess` accepts. */
export const baseIssuer: IssuerBundle = {
  kind: 'Issuer',
  namespace: NAMESPACE,
  name: 'issuer',
  serial: 1,
  keySet: 'default/trading',
  keySetSerial: 1,
  signingKey: {
    kid: issuer.verification.kid,
    algorithm: issuer.verification.algorithm,
    privateJwk: issuer.privateJwk,
    maxTokenLifetimeMs: 3_600_000,
  },
  users: null,
};

/** Writes signed bundles into a directory of their own and starts upstream and sidecar on free ports of the loopback. */
export async function startSidecarUnderTest(policy: PolicyUnderTest = {}): Promise<SidecarUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-test-'));
  const upstream = await recordingUpstream();
  const sink = memoryLog();
  let serial = 0;
  const write = async (change: PolicyUnderTest): Promise<void> => {
    serial++;
    if (change.access || serial === 1) await writeBundle(directory, { ...baseAccess, ...change.access, serial });
    if (change.limits) await writeBundle(directory, { ...baseLimits, ...change.limits, serial });
    if (change.issuer) await writeBundle(directory, { ...baseIssuer, ...change.issuer, serial });
    const candidates = join(directory, 'candidates');
    const { candidateAccess, candidateLimits } = change;
    if (candidateAccess) await writeBundle(candidates, { ...baseAccess, ...candidateAccess, name: 'tried', serial });
    if (candidateLimits) await writeBundle(candidates, { ...baseLimits, ...candidateLimits, name: 'tried', serial });
  };
  await write(policy);
  const location = (kind: Bundle['kind']) => ({
    directory: join(directory, kind),
    namespace: NAMESPACE,
    name: kind.toLowerCase(),
  });
  const candidate = (kind: Bundle['kind']) => ({
    directory: join(directory, 'candidates', kind),
    namespace: NAMESPACE,
    name: 'tried',
  });
  const sidecar = await startSidecar({
    listeners: [{ listen: { host: '127.0.0.1', port: 0 }, upstream: { host: '127.0.0.1', port: upstream.port } }],
    admin: { host: '127.0.0.1', port: 0 },
    bundles: {
      publicKey: createPublicKey(signer),
      access: location('Access'),
      limits: policy.limits === undefined ? null : location('Limits'),
      issuer: location('Issuer'),
      ...((policy.candidateAccess ?? policy.candidateLimits) && {
        candidates: {
          access: policy.candidateAccess === undefined ? null : candidate('Access'),
          limits: policy.candidateLimits === undefined ? null : candidate('Limits'),
        },
      }),
    },
    ...(policy.controlSocket !== undefined && { controlSocket: policy.controlSocket }),
    sink,
    version: 'test',
  });
  const { access } = sidecar.status().bundles;
  if (access?.error) throw new Error(`the test's policy was refused: ${access.error.message}`);
  return {
    port: portOf(sidecar),
    adminPort: sidecar.admin.port,
    upstream,
    sidecar,
    token: validToken,
    log: () => sink.lines,
    publish: async (change) => {
      await write(change);
      await sidecar.checkBundles();
    },
    stop: async () => {
      await upstream.close();
      await sidecar.stop(0);
      await rm(directory, { recursive: true });
    },
  };
}

/** A token that `baseAccess` accepts, with further claims. */
export function validToken(claims: Readonly<Record<string, unknown>> = {}): string {
  return mintToken(issuer, validClaims(Date.now(), claims));
}

/** The first port of a sidecar. */
export function portOf({ traffic }: RunningSidecar): number {
  return traffic[0]?.port ?? assert.fail('the sidecar does not listen');
}

async function writeBundle(directory: string, bundle: Bundle): Promise<void> {
  const folder = join(directory, bundle.kind);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'new'), encodeBundle(bundle, signer));
  await rename(join(folder, 'new'), join(folder, BUNDLE_FILE));
}
