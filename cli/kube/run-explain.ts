import { execInPod } from '../../operator/kube/exec.ts';
import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { EXPLAIN_HELP } from '../explain/explain-help.ts';
import { readBodyFile } from '../explain/read-body.ts';
import type { CommandIo } from '../token/run-token.ts';
import { runKubeCommand } from './command.ts';

const PROGRAM = ['/usr/local/bin/node', '/app/sidecar.mjs', 'explain'];

/** The command `portcullis explain` by the policies of a pod: runs the sidecar's own `explain` in the pod. Resolves to its exit code. */
export function runExplain(argv: readonly string[], io: CommandIo): Promise<number> {
  return runKubeCommand(
    {
      name: 'explain',
      help: EXPLAIN_HELP,
      flags: {
        claims: { type: 'string' },
        token: { type: 'string' },
        body: { type: 'string' },
        host: { type: 'string' },
        header: { type: 'string', multiple: true },
        output: { type: 'string', short: 'o' },
      },
      arguments: ['POD', 'METHOD', 'PATH'],
      async run({ kubeConfig, namespace }, [pod = '', method = '', path = ''], values) {
        const flags = ['claims', 'token', 'host', 'header', 'output'].flatMap((name) =>
          [values[name] ?? []].flat().flatMap((value) => [`--${name}`, String(value)]),
        );
        const stdin = typeof values['body'] === 'string' ? bodyOf(values['body']) : undefined;
        if (stdin !== undefined) flags.push('--body-bytes', String(stdin.length));
        const command = [...PROGRAM, ...flags, method, path];
        const name = pod.replace(/^pods?\//, '');
        const result = await execInPod(kubeConfig, {
          namespace,
          pod: name,
          container: SIDECAR_CONTAINER,
          command,
          ...(stdin && { stdin }),
        });
        io.stdout.write(result.stdout);
        io.stderr.write(result.stderr);
        return result.exitCode;
      },
    },
    argv,
    io,
  );
}

function bodyOf(file: string): Buffer {
  try {
    return Buffer.from(readBodyFile(file), 'latin1');
  } catch (cause) {
    throw new PortcullisError('config_invalid', `--body cannot be read: ${(cause as Error).message}`, { cause });
  }
}
