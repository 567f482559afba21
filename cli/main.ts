#!/usr/bin/env node
import { didYouMean } from '../policy/api/nearest.ts';
import { packageVersion } from '../runtime/version.ts';
import type { FernetIo } from './fernet/run-fernet.ts';
import type { RevokeIo } from './keys/run-revoke.ts';

const HELP = `portcullis COMMAND [FLAGS]

Commands:
  local    guard one application with the policies of a directory
  token    print a token signed by the active key of a key set
  explain  what the policies of a directory make of a request
  test     whether the policies of a directory decide as a table of cases says
  generate an AccessPolicy from an OpenAPI document
  fernet   encrypt, decrypt and rotate what is stored, by the keys of a Fernet key set or of a file
  htpasswd print the line of a user for a Secret of users who log in
  escrow   encrypt a file for cold storage, with OpenPGP
  api-key  make an API key, and the line of it for a Secret
  revoke-token  refuse a token, or all of a subject, before they end; in a pod or by the store

In a cluster (also as kubectl portcullis COMMAND):
  status   which Services are guarded, by which policies, and how each pod stands
  protect  restart a Service's pods and wait until they enforce its policies
  explain  what a pod's sidecar would do with a request
  blocks   whom rate limit policies block, and how to end that
  keys     key sets: what signs now, what is next, and what they wait for; keys restore brings lost keys back
  rotate   let a new key sign as soon as every pod has it
  revoke   refuse every token of a key, at once

  --help     this text; portcullis COMMAND --help lists the flags of a command
  --version  the version, alone on its line
`;

/** All that commands read from and write to. */
type MainIo = FernetIo & RevokeIo;

type Command = (argv: readonly string[], io: MainIo) => Promise<number>;

/** By name; loaded when used, because a token is made in half the time that loading a sidecar takes. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  local: async () => (await import('./local/run-local.ts')).runLocal,
  token: async () => (await import('./token/run-token.ts')).runToken,
  test: async () => (await import('./policy-test/run-test.ts')).runTest,
  generate: async () => (await import('./generate/run-generate.ts')).runGenerate,
  fernet: async () => (await import('./fernet/run-fernet.ts')).runFernet,
  htpasswd: async () => (await import('./passwords/run-htpasswd.ts')).runHtpasswd,
  'api-key': async () => (await import('./tokens/run-api-key.ts')).runApiKey,
  'revoke-token': async () => (await import('./tokens/run-revoke-token.ts')).runRevokeToken,
  escrow: async () => (await import('./escrow/run-escrow.ts')).runEscrow,
  status: async () => (await import('./kube/run-status.ts')).runStatus,
  protect: async () => (await import('./kube/run-protect.ts')).runProtect,
  explain: async () => (await import('./explain/run-explain.ts')).runExplain,
  blocks: async () => (await import('./blocks/run-blocks.ts')).runBlocks,
  keys: async () => (await import('./keys/run-keys.ts')).runKeys,
  rotate: async () => (await import('./keys/run-rotate.ts')).runRotate,
  revoke: async () => (await import('./keys/run-revoke.ts')).runRevoke,
};

/** The program: `argv` without node and script. Resolves to the exit code; 2 when it was called wrongly. */
export async function main(argv: readonly string[], io: MainIo): Promise<number> {
  const [name = '', ...rest] = argv;
  if (name === '--help' || name === '-h' || name === 'help') {
    io.stdout.write(HELP);
    return 0;
  }
  if (name === '--version') {
    io.stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  if (Object.hasOwn(commands, name)) return (await commands[name]!())(rest, io);
  const known = Object.keys(commands);
  const wrong = name === '' ? 'no command given' : `unknown command "${name}"${didYouMean(name, known)}`;
  io.stderr.write(`portcullis: ${wrong}\nThere are: ${known.join(', ')}. See portcullis --help\n`);
  return 2;
}

if (import.meta.main) {
  // Whoever reads our output may leave (`| head`, a log shipper that restarts): that is no reason to stop serving.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {});
  process.exitCode = await main(process.argv.slice(2), {
    get stdin() {
      return process.stdin; // only when read: a terminal that nobody reads must not keep us from ending
    },
    stdout: process.stdout,
    stderr: process.stderr,
    now: Date.now,
  });
}
