import { type ParseArgsConfig, parseArgs } from 'node:util';
import { parseDuration } from '../../policy/api/duration.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Output } from '../main.ts';

/** `parseArgs` of node:util, strict. Throws config_invalid. */
export function parseFlags<T extends NonNullable<ParseArgsConfig['options']>>(
  argv: readonly string[],
  options: T,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals });
  } catch (cause) {
    throw new PortcullisError('config_invalid', (cause as Error).message, { cause });
  }
}

/** A GEP-2257 duration such as `5s`, in milliseconds. Throws config_invalid. */
export function durationOf(flag: string, value: string): number {
  const ms = parseDuration(value);
  if (ms !== undefined) return ms;
  throw new PortcullisError('config_invalid', `--${flag} must be a duration such as 5s, not ${JSON.stringify(value)}`);
}

/** Runs a command; what it was told wrongly (config_invalid) goes to standard error, with exit code 2. */
export async function orUsage(output: Output, command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    if (!(error instanceof PortcullisError) || error.code !== 'config_invalid') throw error;
    output.stderr.write(`${error.message}\n`);
    return 2;
  }
}
