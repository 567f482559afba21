import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from '../../operator/kube/kube-client.ts';
import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { parseDuration } from '../../policy/api/duration.ts';
import { ANNOTATIONS } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { isJwt } from '../../policy/keys/algorithms.ts';
import { runKubeCommand, usage } from '../kube/command.ts';
import { KUBE_HELP } from '../kube/kube-flag-names.ts';
import type { CommandIo } from '../token/run-token.ts';
import { decodeKeySet, findKeySet } from './find-key-set.ts';
import { isJson } from './output-flag.ts';
import { rfc3339, rotationForecast } from './rotation-forecast.ts';

const HELP = `portcullis rotate NAME [--wait [--timeout DURATION]] [-o json]

Asks for a new signing key of a SigningKeySet, now instead of when it is due, and says when that can happen: the next key is
published first, and every pod must have loaded it.

  --wait                 wait until the new key signs
  --timeout DURATION     how long to wait (default: 5m)
  -o, --output FORMAT    json; default: text
${KUBE_HELP}
  --help                 this text

Exit code: 0 when it was asked for, with --wait when the new key signs; 1 when that does not come in time; 2 when it could
not be asked for.
`;

const POLL_MS = 500;

/** What `rotate` was asked to do. */
export interface RotateOptions {
  readonly namespace: string;
  /** NAME or sks/NAME. */
  readonly keySet: string;
  /** Null: not at all. Milliseconds. */
  readonly waitMs: number | null;
  readonly json: boolean;
  /** Waits so many milliseconds. */
  readonly sleep: (ms: number) => Promise<unknown>;
}

/** The command `portcullis rotate`. Resolves to the exit code; see HELP. */
export function runRotate(argv: readonly string[], io: CommandIo): Promise<number> {
  return runKubeCommand(
    {
      name: 'rotate',
      help: HELP,
      flags: {
        wait: { type: 'boolean' },
        timeout: { type: 'string' },
        output: { type: 'string', short: 'o' },
      },
      arguments: ['NAME'],
      run: ({ client, namespace }, [keySet = ''], { wait, timeout, output }, plain) => {
        const waitMs = parseDuration(String(timeout ?? '5m'));
        if (waitMs === undefined) throw usage(`--timeout must be a duration such as 90s or 5m, not ${timeout}`);
        if (timeout !== undefined && !wait) throw usage('--timeout goes with --wait');
        return rotate(client, { namespace, keySet, waitMs: wait ? waitMs : null, json: isJson(output), sleep }, plain);
      },
    },
    argv,
    io,
  );
}

/** Asks for a rotation. Resolves to the exit code. Throws `config_invalid`, and KubeError when the API server refuses. */
export async function rotate(
  client: Pick<KubeClient, 'get' | 'list' | 'patch'>,
  options: RotateOptions,
  { stdout, stderr, now }: CommandIo,
): Promise<number> {
  const object = await findKeySet(client, options.namespace, options.keySet);
  const { namespace, name, uid, deletionTimestamp } = object.metadata;
  const before = object.status?.activeKey;
  const cannot = (why: string) => new PortcullisError('config_invalid', `${namespace}/${name} ${why}`);
  if (deletionTimestamp !== undefined) throw cannot('is being deleted; its keys change no more');
  if (before === undefined) throw cannot(`has no key yet; see portcullis keys ${name} -n ${namespace}`);
  const start = now();
  const keySet = decodeKeySet(object);
  const forecast = rotationForecast(keySet, object.status ?? {}, start);
  const requestedAt = new Date(start).toISOString();
  // The uid: never an object that has taken its place.
  const metadata = { ...(uid !== undefined && { uid }), annotations: { [ANNOTATIONS.rotateRequestedAt]: requestedAt } };
  await client.patch(SIGNING_KEY_SETS, { name, ...(namespace !== undefined && { namespace }) }, { metadata });

  const people = options.json ? stderr : stdout;
  people.write([`${namespace}/${name}: rotation requested`, ...forecast.lines].join('\n  ').concat('\n'));
  const deadline = start + (options.waitMs ?? 0);
  const isInTime = forecast.earliest !== null && forecast.earliest <= deadline;
  let active = before;
  while (options.waitMs !== null && isInTime && active === before && now() < deadline) {
    await options.sleep(POLL_MS);
    active = (await findKeySet(client, options.namespace, options.keySet)).status?.activeKey ?? before;
  }
  if (active !== before) people.write(`key ${active} ${isJwt(keySet.spec.algorithm) ? 'signs' : 'encrypts'} now\n`);
  if (options.json) {
    const earliest = forecast.earliest === null ? null : rfc3339(forecast.earliest);
    const answer = { namespace, name, requestedAt, earliest, activeKey: active, rotated: active !== before };
    stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  }
  if (options.waitMs === null || active !== before) return 0;
  stderr.write(
    `portcullis rotate: ${isInTime ? 'not in time' : 'it cannot happen within --timeout'}; the request stands: see portcullis keys ${name} -n ${namespace}\n`,
  );
  return 1;
}
