import { PortcullisError } from '../../policy/errors.ts';
import { askControl } from '../control/control-client.ts';
import type { RevokeAnswer, RevokeRequest } from '../control/revoke-tokens.ts';
import type { Output } from '../main.ts';
import { orUsage, parseFlags } from './flags.ts';
import { containerPath } from './paths.ts';

const HELP = `sidecar revoke (--jti JTI [--expires-at MS] | --subject SUB [--not-before MS]) [--issuer ISS]

Refuses tokens before they end, here and in every pod that shares the store: one token by its jti, or those of a subject that were
issued before an instant (default: now). kubectl portcullis revoke-token calls it.

  --expires-at MS   when the token ends, in milliseconds since 1970 (default: as late as one may that is issued now)
  --not-before MS   likewise
  --issuer ISS      of this issuer alone (default: of every issuer of the policy)
  --help            this text
`;

/** `sidecar revoke`: has the process revoke tokens. Exit code 1 when they are not revoked everywhere. */
export function revokeCommand(argv: readonly string[], output: Output): Promise<number> {
  return orUsage(output, async () => {
    const { values } = parseFlags(argv, {
      jti: { type: 'string' },
      'expires-at': { type: 'string' },
      subject: { type: 'string' },
      'not-before': { type: 'string' },
      issuer: { type: 'string' },
      help: { type: 'boolean', default: false },
    });
    if (values.help) {
      output.stdout.write(HELP);
      return 0;
    }
    const { jti, subject, issuer = null } = values;
    if ((jti === undefined) === (subject === undefined)) wrong('give --jti or --subject');
    const request: RevokeRequest = {
      token: jti === undefined ? null : { jti, expiresAt: instantOf('expires-at', values['expires-at']) },
      subject:
        subject === undefined ? null : { sub: subject, notBefore: instantOf('not-before', values['not-before']) },
      issuer,
    };
    const socket = containerPath('controlSocket');
    let answer: RevokeAnswer;
    try {
      answer = (await askControl(socket, 'POST', '/revoke', request)).body as RevokeAnswer;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      output.stderr.write(`sidecar revoke: the process does not answer at ${socket} (${code})\n`);
      return 1;
    }
    if ('error' in answer) {
      output.stderr.write(`sidecar revoke: ${answer.error}\n`);
      return 1;
    }
    for (const { issuer: of, group, stored } of answer.revoked) {
      const where = !answer.shared
        ? 'in this pod alone: the policy has no store'
        : stored
          ? `in ${group}`
          : 'here alone';
      output.stdout.write(`revoked with issuer ${of}, ${where}\n`);
    }
    if (answer.revoked.every(({ stored }) => stored)) return 0;
    output.stderr.write('sidecar revoke: the store does not answer; other pods learn of it once it does. Try again\n');
    return 1;
  });
}

function instantOf(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^\d{1,15}$/.test(text)) wrong(`--${flag} must be milliseconds since 1970`);
  return Number(text);
}

function wrong(message: string): never {
  throw new PortcullisError('config_invalid', `${message}; see sidecar revoke --help`);
}
