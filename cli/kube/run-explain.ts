import { execInPod } from '../../operator/kube/exec.ts';
import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import type { CommandIo } from '../token/run-token.ts';
import { runKubeCommand } from './command.ts';
import { KUBE_HELP } from './kube-flag-names.ts';

const HELP = `portcullis explain POD METHOD PATH [--claims JSON | --token TOKEN] [--host HOST] [--header 'NAME: VALUE']... [-o json]

What the sidecar of a pod would do with a request, layer by layer, by the policies that it runs now. Nothing is sent to the
application and nothing is counted.

  --claims JSON          as if a valid token with these claims came along
  --token TOKEN          with this token
  --host HOST            the Host of the request
  --header LINE          a header; may be given several times
  -o, --output FORMAT    json; default: text
${KUBE_HELP}
  --help                 this text
`;

const PROGRAM = ['/usr/local/bin/node', '/app/sidecar.mjs', 'explain'];

/** The command `portcullis explain`: runs the sidecar's own `explain` in the pod. Resolves to its exit code. */
export function runExplain(argv: readonly string[], io: CommandIo): Promise<number> {
  return runKubeCommand(
    {
      name: 'explain',
      help: HELP,
      flags: {
        claims: { type: 'string' },
        token: { type: 'string' },
        host: { type: 'string' },
        header: { type: 'string', multiple: true },
        output: { type: 'string', short: 'o' },
      },
      arguments: ['POD', 'METHOD', 'PATH'],
      async run({ kubeConfig, namespace }, [pod = '', method = '', path = ''], values) {
        const flags = ['claims', 'token', 'host', 'header', 'output'].flatMap((name) =>
          [values[name] ?? []].flat().flatMap((value) => [`--${name}`, String(value)]),
        );
        const command = [...PROGRAM, ...flags, method, path];
        const name = pod.replace(/^pods?\//, '');
        const result = await execInPod(kubeConfig, { namespace, pod: name, container: SIDECAR_CONTAINER, command });
        io.stdout.write(result.stdout);
        io.stderr.write(result.stderr);
        return result.exitCode;
      },
    },
    argv,
    io,
  );
}
