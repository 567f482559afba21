import { createPublicKey, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { PortcullisError } from '../../policy/errors.ts';
import { createLogger, openLogSink } from '../../runtime/log.ts';
import { parseSidecarArguments, type SidecarArguments } from '../../runtime/sidecar-arguments.ts';
import { packageVersion } from '../../runtime/version.ts';
import type { BundleLocations } from '../enforcement-options.ts';
import type { Output } from '../main.ts';
import { startSidecar } from '../start-sidecar.ts';
import type { CertificateFiles } from '../tls/certificate-source.ts';
import { orUsage } from './flags.ts';
import { containerPath } from './paths.ts';

/** For requests that are under way when the application, which stops first, has stopped already. */
const STOP_GRACE_MS = 25_000;

/** `sidecar run`: serves until SIGTERM or SIGINT. Exit code 0 then, 1 after a fault, 2 when it was called wrongly. */
export function runCommand(argv: readonly string[], output: Output): Promise<number> {
  return orUsage(output, async () => {
    const args = parseSidecarArguments(['run', ...argv]);
    const publicKey = bundleKeyOf(args);
    const { namespace, accessPolicy, rateLimitPolicy, minimumSerials, listeners, admin, probes, refuse } = args;
    const sink = openLogSink();
    const log = createLogger(sink, 'sidecar');
    const fault = (error: unknown): void => {
      log.fatal({ err: error }, 'sidecar failed');
      sink.close();
      process.exit(1);
    };
    process.on('uncaughtException', fault);
    process.on('unhandledRejection', fault);
    const stopped = firstSignal();
    try {
      const sidecar = await startSidecar({
        listeners,
        admin,
        ...(args.egress && { egress: args.egress }),
        bundles: {
          publicKey,
          access: {
            directory: containerPath('access'),
            namespace,
            name: accessPolicy,
            minimumSerial: minimumSerials.access,
          },
          limits:
            rateLimitPolicy === null
              ? null
              : {
                  directory: containerPath('limits'),
                  namespace,
                  name: rateLimitPolicy,
                  minimumSerial: minimumSerials.limits,
                },
          ...(args.issueTokens && {
            issuer: {
              directory: containerPath('issuer'),
              namespace,
              name: accessPolicy,
              minimumSerial: minimumSerials.issuer,
            },
          }),
          ...candidateLocations(args),
        },
        pod: { probes, issueTokens: args.issueTokens, refuse, controlSocket: containerPath('controlSocket') },
        ...(args.tlsSecret !== null && { tls: certificateFiles(args.tlsSecret, namespace) }),
        sink,
        version: packageVersion(),
      });
      log.info({ signal: await stopped }, 'stopping');
      await sidecar.stop(STOP_GRACE_MS);
    } catch (error) {
      fault(error);
    }
    sink.close();
    process.exit(0); // nothing that is left may hold a pod up
  });
}

function bundleKeyOf({ bundleKey }: SidecarArguments): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(bundleKey, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Said below; OpenSSL's own words help nobody.
  }
  throw new PortcullisError('config_invalid', '--bundle-key must be an Ed25519 public key, SPKI DER in base64');
}

function candidateLocations({ namespace, candidates }: SidecarArguments): Pick<BundleLocations, 'candidates'> {
  if (candidates === undefined) return {};
  const { accessPolicy, rateLimitPolicy } = candidates;
  const access = accessPolicy && { directory: containerPath('candidateAccess'), namespace, name: accessPolicy };
  const limits = rateLimitPolicy && { directory: containerPath('candidateLimits'), namespace, name: rateLimitPolicy };
  return { candidates: { access: access || null, limits: limits || null } };
}

/** The mounted Secret, as messages name it. */
function certificateFiles(secret: string, namespace: string): CertificateFiles {
  const directory = containerPath('tls');
  return {
    cert: join(directory, 'tls.crt'),
    key: join(directory, 'tls.key'),
    name: `Secret ${namespace}/${secret}`,
    advice: `kubectl create secret tls ${secret} -n ${namespace} --cert=FILE --key=FILE; where cert-manager makes it, kubectl describe certificate ${secret} -n ${namespace}`,
  };
}

function firstSignal(): Promise<string> {
  return new Promise((done) => {
    process.once('SIGTERM', () => done('SIGTERM'));
    process.once('SIGINT', () => done('SIGINT'));
  });
}
