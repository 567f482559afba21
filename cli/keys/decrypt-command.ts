import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PortcullisError } from '../../policy/errors.ts';

/** What reads OpenPGP messages unless another command is named. */
export const DECRYPT_COMMAND = 'gpg --quiet --decrypt';

/** No key is longer, and a command that talks for ever is not listened to for ever. */
const MAX_OUTPUT_BYTES = 65_536;
const SAID_LINES = 3;

/**
 * What a shell command makes of a text on its standard input: the user's own gpg, with their keys, agent and card. What it
 * prints is held in memory alone. Throws `config_invalid` with what it said on standard error, never what it printed.
 */
export async function decryptWith(command: string, message: string): Promise<string> {
  const program = spawn(command, { shell: true, stdio: 'pipe' });
  // One that ends before it has read everything says why by itself.
  program.stdin.on('error', () => {});
  program.stdin.end(message);
  const printed: Buffer[] = [];
  let bytes = 0;
  let said = '';
  program.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) program.stdout.destroy();
    else printed.push(chunk);
  });
  program.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MAX_OUTPUT_BYTES);
  });
  const [code] = await once(program, 'close');
  if (bytes > MAX_OUTPUT_BYTES) throw failed(command, `printed more than ${MAX_OUTPUT_BYTES} bytes; that is no key`);
  if (code === 0) return Buffer.concat(printed).toString('utf8');
  const last = said.trim().split('\n').slice(-SAID_LINES).join('; ');
  throw failed(command, `failed: ${last || `exit code ${code}`}`);
}

function failed(command: string, what: string): PortcullisError {
  return new PortcullisError('config_invalid', `\`${command}\` ${what}`);
}
