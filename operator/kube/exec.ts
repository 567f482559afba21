import { Readable, Writable } from 'node:stream';
import { Exec, type KubeConfig, type V1Status } from '@kubernetes/client-node';
import { KubeError } from './kube-client.ts';

/** What to run, and where. */
export interface ExecRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
  readonly stdin?: string | Buffer;
}

/** What a command left. */
export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in a container, like `kubectl exec`. A code that is not 0 is an answer; throws KubeError when it cannot be run. */
export async function execInPod(kubeConfig: KubeConfig, request: ExecRequest): Promise<ExecResult> {
  const { namespace, pod, container, command, stdin } = request;
  const stdout = collector();
  const stderr = collector();
  const ended = Promise.withResolvers<V1Status>();
  try {
    const input = stdin === undefined ? null : Readable.from([Buffer.from(stdin)]);
    const socket = await new Exec(kubeConfig).exec(
      namespace,
      pod,
      container,
      [...command],
      stdout.stream,
      stderr.stream,
      input,
      false,
      ended.resolve,
    );
    const closed = (): void => ended.reject(new Error('the connection ended before the command'));
    socket.onclose = closed;
    if (socket.readyState === socket.CLOSED) closed();
    const exitCode = exitCodeOf(await ended.promise);
    return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
  } catch (error) {
    if (error instanceof KubeError) throw error;
    const cause = error as Error;
    const message = `exec in container ${container} of pod ${namespace}/${pod}: ${cause.message}`;
    throw new KubeError(0, 'NoAnswer', message, { cause });
  }
}

function collector(): { readonly stream: Writable; text(): string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}

function exitCodeOf({ status, reason, message, code, details }: V1Status): number {
  if (status === 'Success') return 0;
  const exit = details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message;
  if (reason === 'NonZeroExitCode' && exit !== undefined) return Number(exit);
  throw new KubeError(code ?? 0, reason ?? '', message ?? 'exec failed');
}
