import { type TransformOptions, transformMessage } from './message-transform.ts';
import { lineOf, splitLines } from './split-lines.ts';

/** Where bytes come from and go to, and where people are told. */
export interface FernetStreams {
  readonly input: AsyncIterable<Uint8Array>;
  /** Rejects when they could not be written. */
  readonly write: (bytes: Buffer) => Promise<void>;
  readonly say: (message: string) => unknown;
}

const LINE_FEED = Buffer.from('\n');

/** Takes all of the input for one message; a token may end with a line break. Resolves to the exit code, 0 or 1. */
export async function transformWhole(options: TransformOptions, streams: FernetStreams): Promise<number> {
  const { input, write, say } = streams;
  const { action, keys } = options;
  const chunks: Uint8Array[] = [];
  for await (const chunk of input) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const message = action === 'encrypt' ? bytes : lineOf(bytes).content;
  const result = transformMessage(options, message);
  if ('problem' in result) {
    const isSeveral = action !== 'encrypt' && message.includes(LINE_FEED);
    say(isSeveral ? 'the input has several lines; add --lines' : result.problem);
    return 1;
  }
  await write(action === 'decrypt' ? result.output : Buffer.concat([result.output, LINE_FEED]));
  if (action !== 'encrypt') say(`decrypted with key ${result.keyIndex + 1} of ${keys.length}`);
  return 0;
}

/** Takes each line for a message, and goes on after one that is refused. Resolves to the exit code, 0 or 1. */
export async function transformLines(options: TransformOptions, streams: FernetStreams): Promise<number> {
  const { input, write, say } = streams;
  const { action, keys } = options;
  const made = keys.map(() => 0);
  let [number, refused, empty] = [0, 0, 0];
  for await (const { content, ending } of splitLines(input)) {
    number++;
    if (content.length === 0 && action !== 'encrypt') {
      empty++;
      await write(ending);
      continue;
    }
    const result = transformLine(options, content);
    if ('problem' in result) {
      refused++;
      say(`line ${number}: ${result.problem}`);
      await write(action === 'rotate' ? Buffer.concat([content, ending]) : ending);
    } else {
      made[result.keyIndex]!++;
      await write(Buffer.concat([result.output, ending]));
    }
  }
  if (action !== 'encrypt') {
    const counts = made.map((count, index) => `${count} with key ${index + 1}`).join(', ');
    say(`decrypted ${counts}; ${refused} refused, ${empty} empty`);
  }
  return refused === 0 ? 0 : 1;
}

function transformLine(options: TransformOptions, content: Buffer): ReturnType<typeof transformMessage> {
  const result = transformMessage(options, content);
  const isSplit = options.action === 'decrypt' && 'output' in result && result.output.includes(LINE_FEED);
  return isSplit ? { problem: 'what it holds has several lines; decrypt it by itself, without --lines' } : result;
}
