import { KUBE_HELP } from '../kube/kube-flag-names.ts';

/** What `portcullis fernet --help` prints. */
export const FERNET_HELP = `portcullis fernet COMMAND [FLAGS]

Fernet tokens, as Python's cryptography writes and reads them. Works from standard input to standard output.

Commands:
  keygen   print a new key
  encrypt  a token of the input, under the first key
  decrypt  what a token holds, by whichever key made it
  rotate   the token again under the first key, with the timestamp it had

portcullis fernet COMMAND --help lists the flags of a command.
`;

const KEYS = `  --key-file FILE        keys, one a line, the first is primary; blank lines and those that begin with # are skipped
  --secret NS/NAME       keys of a cluster's Secret, NAME-fernet of a SigningKeySet with algorithm Fernet; you must be
                         allowed to read it. NAME alone: in the namespace of -n`;

const TTL = `  --ttl DURATION         refuse tokens that are older, such as 90s or 24h, and those made more than 60s ahead
`;

const REST = `  --double-base64        tokens are in base64 once more, as base64.b64encode(f.encrypt(data)) leaves them
  --lines                each line by itself, such as a column of a table`;

const END = `With --secret:
${KUBE_HELP}
  --help                 this text

Exit code: 0; 1 when something was refused; 2 when the command was called wrongly, or keys, input or output failed. The
reason is on standard error.
`;

const COUNTS = `How many tokens each key had made is told on standard error, by the key's position in the list: a key may go when its
count is 0 over all your data and nothing was refused.`;

/** What `portcullis fernet COMMAND --help` prints. */
export const COMMAND_HELP = {
  keygen: `portcullis fernet keygen

Prints a new key, alone on its line.

  --help                 this text
`,
  encrypt: `portcullis fernet encrypt (--key-file FILE | --secret NS/NAME) [--double-base64] [--lines]

Encrypts the input, every byte of it, and prints the token alone on its line.

${KEYS}
${REST}
${END}`,
  decrypt: `portcullis fernet decrypt (--key-file FILE | --secret NS/NAME) [--ttl DURATION] [--double-base64] [--lines]

Writes what the token holds, byte for byte. With --lines a token that is refused becomes an empty line; an empty line stays.
${COUNTS}

${KEYS}
${TTL}${REST}
${END}`,
  rotate: `portcullis fernet rotate (--key-file FILE | --secret NS/NAME) [--double-base64] [--lines]

Encrypts again under the first key what the token holds. Its timestamp stays. With --lines a token that is refused is
written as it was, so that nothing is lost; an empty line stays.
${COUNTS}

${KEYS}
${REST}
${END}`,
} as const;
