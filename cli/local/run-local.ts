import { PortcullisError } from '../../policy/errors.ts';
import { openLogSink } from '../../runtime/log.ts';
import { packageVersion } from '../../runtime/version.ts';
import type { CommandIo } from '../token/run-token.ts';
import { LOCAL_HELP, parseLocalOptions } from './local-options.ts';
import { startLocal } from './start-local.ts';
import { startMessage } from './start-message.ts';

/** How long after stopping something that still holds the process is waited for. */
const LEAVE_MS = 1_000;

/**
 * The command `portcullis local`: `argv` without the command's name. Serves until SIGTERM or SIGINT. Resolves to the exit
 * code, 0 or 2; see LOCAL_HELP.
 */
export async function runLocal(argv: readonly string[], io: CommandIo): Promise<number> {
  const say = (line: string) => void io.stderr.write(`${line}\n`);
  const sink = openLogSink();
  try {
    const options = parseLocalOptions(argv);
    if (options === null) {
      io.stdout.write(LOCAL_HELP);
      return 0;
    }
    const local = await startLocal(options, { sink, say, now: io.now, version: packageVersion() });
    say(startMessage(local, options));
    const signal = await firstSignal();
    say(`${signal}: finishing requests under way`);
    process.once('SIGTERM', () => process.exit(1));
    process.once('SIGINT', () => process.exit(1));
    await local.stop();
    setTimeout(() => process.exit(0), LEAVE_MS).unref();
    return 0;
  } catch (error) {
    if (!(error instanceof PortcullisError)) throw error;
    say(error.code === 'policy_invalid' ? error.message : `portcullis local: ${error.message}`);
    return 2;
  } finally {
    sink.close();
  }
}

function firstSignal(): Promise<string> {
  return new Promise((done) => {
    process.once('SIGTERM', () => done('SIGTERM'));
    process.once('SIGINT', () => done('SIGINT'));
  });
}
