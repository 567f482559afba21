import type { IncomingMessage } from 'node:http';
import { parsedJson } from './api-connection.ts';
import { KubeError } from './kube-client.ts';
import type { KubeObject } from './objects.ts';

/** One change; a BOOKMARK's object has nothing but a resourceVersion. */
export interface WatchEvent<T extends KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

/** How a watch is asked for. */
export interface WatchRequest {
  /** Changes after this one. */
  readonly resourceVersion: string;
  /** After so long the server ends the watch. */
  readonly timeoutSeconds: number;
  /** So long without a byte, be it a bookmark, and the connection is taken for dead. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
}

const MAX_LINE_CHARACTERS = 16 * 1024 * 1024;

/**
 * Reads a watch line by line. client-node's own Watch is not used: it swallows what a handler throws and lines that are
 * no JSON, drops the Status that says why a watch was refused, opens an undici agent for each watch that nobody closes,
 * and undici ends a body after 5 silent minutes whatever one asks for.
 */
export async function* readWatch<T extends KubeObject>(
  request: WatchRequest,
  open: (signal: AbortSignal) => Promise<IncomingMessage>,
): AsyncGenerator<WatchEvent<T>> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), request.stallMs);
  try {
    const response = await open(AbortSignal.any([request.signal, stalled.signal]));
    let rest = '';
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
      timer.refresh();
      const lines = chunk.split('\n');
      lines[0] = rest + lines[0];
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE_CHARACTERS) throw new Error(`a change of more than ${MAX_LINE_CHARACTERS} characters`);
      for (const line of lines) yield parsed<T>(line);
    }
  } catch (error) {
    if (stalled.signal.aborted)
      throw new KubeError(0, 'Stalled', `not a byte for ${request.stallMs / 1000} s`, { cause: error });
    throw error instanceof KubeError ? error : new KubeError(0, 'NoAnswer', (error as Error).message, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** metav1.Status. */
interface Status {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
}

function parsed<T extends KubeObject>(line: string): WatchEvent<T> {
  const event = parsedJson(line) as WatchEvent<T> | { readonly type: 'ERROR'; readonly object: Status };
  if (event.type !== 'ERROR') return event;
  const { code = 0, reason = '', message = 'the watch failed' } = event.object;
  throw new KubeError(code, reason, message);
}
