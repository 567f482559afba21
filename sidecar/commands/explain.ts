import { PortcullisError } from '../../policy/errors.ts';
import { askControl } from '../control/control-client.ts';
import {
  type ExplainRequest,
  type Explanation,
  MAX_EXPLAINED_BODY,
  renderExplanation,
} from '../explain/explanation.ts';
import type { Output } from '../main.ts';
import { orUsage, parseFlags } from './flags.ts';
import { containerPath } from './paths.ts';

const HELP = `sidecar explain METHOD PATH [FLAGS]

Says what the policies in force would decide about a request, layer by layer. Nothing is sent to the application and nothing is counted.

  --host HOST          Host of the request (default: localhost)
  --client ADDRESS     where it comes from (default: 127.0.0.1)
  --header 'K: V'      a header; may be repeated
  --token TOKEN        a token, put where the policy looks for one, and verified
  --body-bytes N       with so many bytes of standard input as its body, 65536 at most
  --claims JSON        claims, taken as if a verified token had carried them
  -o, --output FORMAT  text (default) or json
  --help               this text
`;

/** `sidecar explain`: asks the process and prints what it says. Exit code 1 when it cannot be asked. */
export function explainCommand(argv: readonly string[], output: Output): Promise<number> {
  return orUsage(output, async () => {
    const { values, positionals } = parseFlags(
      argv,
      {
        host: { type: 'string', default: 'localhost' },
        client: { type: 'string', default: '127.0.0.1' },
        header: { type: 'string', multiple: true, default: [] },
        token: { type: 'string' },
        claims: { type: 'string' },
        'body-bytes': { type: 'string' },
        output: { type: 'string', short: 'o', default: 'text' },
        help: { type: 'boolean', default: false },
      },
      true,
    );
    if (values.help) {
      output.stdout.write(HELP);
      return 0;
    }
    const [method, target, ...more] = positionals;
    if (method === undefined || target === undefined || more.length > 0) wrong('write sidecar explain METHOD PATH');
    if (values.output !== 'text' && values.output !== 'json') wrong('--output must be text or json');
    if (values.token !== undefined && values.claims !== undefined) wrong('give --token or --claims, not both');
    const { token, claims, host, client } = values;
    const bytes = values['body-bytes'];
    const body = bytes === undefined ? undefined : await readBody(bytes, process.stdin);
    const request: ExplainRequest = {
      method: method.toUpperCase(),
      target,
      host,
      client,
      headers: values.header.map(headerOf),
      ...(body !== undefined && { body }),
      credential: token !== undefined ? { token } : claims !== undefined ? { claims: claimsOf(claims) } : null,
    };
    const socket = containerPath('controlSocket');
    let answer: Awaited<ReturnType<typeof askControl>>;
    try {
      answer = await askControl(socket, 'POST', '/explain', request);
    } catch (error) {
      output.stderr.write(
        `sidecar explain: the process does not answer at ${socket} (${(error as NodeJS.ErrnoException).code})\n`,
      );
      return 1;
    }
    if (answer.status !== 200) {
      output.stderr.write(`sidecar explain: ${(answer.body as { readonly error: string }).error}\n`);
      return 1;
    }
    const explanation = answer.body as Explanation;
    output.stdout.write(values.output === 'json' ? `${JSON.stringify(explanation)}\n` : renderExplanation(explanation));
    return 0;
  });
}

/** How the end of standard input reaches a program in a pod depends on the version of Kubernetes; how much comes does not. */
async function readBody(bytes: string, input: AsyncIterable<Buffer>): Promise<string> {
  const length = Number(bytes);
  if (!Number.isInteger(length) || length < 0 || length > MAX_EXPLAINED_BODY) {
    wrong(`--body-bytes must be a whole number up to ${MAX_EXPLAINED_BODY}`);
  }
  let body = '';
  if (length === 0) return body;
  for await (const chunk of input) {
    body += chunk.toString('latin1');
    if (body.length >= length) return body.slice(0, length);
  }
  wrong(`standard input ended after ${body.length} of ${length} bytes`);
}

function wrong(message: string): never {
  throw new PortcullisError('config_invalid', `${message}; see sidecar explain --help`);
}

function headerOf(text: string): [string, string] {
  const colon = text.indexOf(':');
  if (colon <= 0) wrong(`--header must be 'NAME: VALUE', not ${JSON.stringify(text)}`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

function claimsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(text);
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims)) return { ...claims };
  } catch {
    // Said below.
  }
  wrong(`--claims must be a JSON object such as '{"sub":"tom"}'`);
}
