import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { PortcullisError } from '../../policy/errors.ts';
import type { ExplainRequest, Explanation } from '../explain/explanation.ts';
import type { BlockReport, ClearReport } from '../threats/block-report.ts';
import type { RevokeAnswer, RevokeRequest } from './revoke-tokens.ts';

/** As JSON, the body of a request to explain may be six times as long. */
const MAX_BODY_BYTES = 512 * 1024;

/** What those may ask who can run a command in the sidecar's container. */
export interface ControlActions {
  /** Reasons for which some port does not listen. */
  readonly notListening: () => readonly string[];
  /** Sends clients away over so many milliseconds; see Engine.startDraining. */
  readonly drain: (overMs: number) => void;
  readonly explain: (request: ExplainRequest) => Promise<Explanation>;
  readonly revoke: (request: RevokeRequest) => Promise<RevokeAnswer>;
  readonly blocks: () => BlockReport;
  /** Rejects with PortcullisError `config_invalid`, which is answered 400. */
  readonly clearBlocks: (request: unknown) => Promise<ClearReport>;
}

/**
 * HTTP on a unix socket that only our own user may open: GET /listening, POST /drain, POST /explain, POST /revoke, GET /blocks, POST /blocks/clear. It lies in a volume of the
 * sidecar's own, so that neither the application nor the network reaches it.
 */
export class ControlServer {
  readonly #server: Server;
  readonly #path: string;

  constructor(path: string, actions: ControlActions, onFault: (error: unknown) => void) {
    this.#path = path;
    this.#server = createServer({ requestTimeout: 10_000 }, (request, response) => {
      answer(request, response, actions).catch((error) => {
        if (error instanceof PortcullisError && error.code === 'config_invalid') {
          return reply(response, 400, { error: error.message });
        }
        onFault(error);
        if (response.headersSent) response.destroy();
        else
          reply(response, 500, { error: error instanceof SyntaxError ? error.message : 'failed; the log says more' });
      });
    });
  }

  /** Replaces what an earlier process left behind. Rejects with the system's error when the directory cannot be used. */
  async listen(): Promise<void> {
    rmSync(this.#path, { force: true });
    const umask = process.umask(0o177);
    try {
      this.#server.listen(this.#path); // binds before it returns
    } finally {
      process.umask(umask);
    }
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, actions: ControlActions): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case 'GET /listening': {
      const reasons = actions.notListening();
      reply(response, reasons.length === 0 ? 200 : 503, reasons);
      break;
    }
    case 'POST /drain': {
      const { overMs } = (await bodyOf(request)) as { readonly overMs: number };
      actions.drain(overMs);
      reply(response, 200, {});
      break;
    }
    case 'POST /explain':
      reply(response, 200, await actions.explain((await bodyOf(request)) as ExplainRequest));
      break;
    case 'GET /blocks':
      reply(response, 200, actions.blocks());
      break;
    case 'POST /blocks/clear':
      reply(response, 200, await actions.clearBlocks(await bodyOf(request)));
      break;
    case 'POST /revoke':
      reply(response, 200, await actions.revoke((await bodyOf(request)) as RevokeRequest));
      break;
    default:
      reply(response, 404, { error: 'no such request' });
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    parts.push(part as Buffer);
    bytes += (part as Buffer).length;
    if (bytes > MAX_BODY_BYTES) throw new SyntaxError(`more than ${MAX_BODY_BYTES} bytes`);
  }
  return JSON.parse(Buffer.concat(parts).toString('utf8'));
}
