import { packageVersion } from '../runtime/version.ts';

const HELP = `sidecar COMMAND [FLAGS]

Guards the ports of one pod. The operator's injector writes its command line; docs/sidecar.md describes it.

  run       the process of the container: --namespace, --access-policy, --bundle-key, --listen, --admin, …
  wait      waits until that process listens: [--timeout 5s]
  drain     makes that process unready and sends clients away, while it goes on accepting: [--over 5s]
  explain   says what would become of a request: METHOD PATH; see explain --help
  revoke    refuses tokens before they end: --jti or --subject; see revoke --help
  blocks    says whom the policy blocks, or ends that: [clear SUBJECT … | clear --all]

  --help     this text
  --version  the version, alone on its line
`;

/** What a command writes to. */
export interface Output {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

type Command = (argv: readonly string[], output: Output) => Promise<number>;

/** By name; loaded when used, because hooks of a pod run `wait` and `drain` and wait for them. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./commands/run.ts')).runCommand,
  wait: async () => (await import('./commands/wait.ts')).waitCommand,
  drain: async () => (await import('./commands/drain.ts')).drainCommand,
  blocks: async () => (await import('./commands/blocks.ts')).blocksCommand,
  explain: async () => (await import('./commands/explain.ts')).explainCommand,
  revoke: async () => (await import('./commands/revoke.ts')).revokeCommand,
};

/** The program: `argv` without node and script. Resolves to the exit code; 2 when it was called wrongly. */
export async function main(argv: readonly string[], output: Output): Promise<number> {
  const [name = ''] = argv;
  if (name === '--version') {
    output.stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return (await load())(argv.slice(1), output);
  const asked = name === '--help' || name === '-h';
  if (!asked)
    output.stderr.write(`sidecar: ${name === '' ? 'no command given' : `unknown command ${JSON.stringify(name)}`}\n`);
  (asked ? output.stdout : output.stderr).write(HELP);
  return asked ? 0 : 2;
}

if (import.meta.main) {
  // Whoever reads our output may leave: that is no reason to stop serving.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {});
  process.exitCode = await main(process.argv.slice(2), { stdout: process.stdout, stderr: process.stderr });
}
