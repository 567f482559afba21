// Runs in the node's network namespace and does there what a test asks for: one JSON command a line on standard input, one
// JSON answer a line on standard output. Started by client.ts.
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Command, Dialled, LoadReport, Reply, Requested, Ticked } from './commands.ts';

const TIMEOUT_MS = 10_000;
const MAX_ERRORS = 20;

function requestOnce(command: Requested, agent: Agent | false = false): Promise<Reply> {
  return new Promise((resolve) => {
    const { url, method = 'GET', headers = {}, body } = command;
    const request = httpRequest(url, { method, headers, agent, timeout: command.timeoutMs ?? TIMEOUT_MS });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ status: 0, headers: {}, body: '', error: error.code ?? error.message }),
    );
    request.on('response', (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', (error: NodeJS.ErrnoException) =>
        resolve({ status: 0, headers: {}, body: text, error: error.code ?? error.message }),
      );
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    request.end(body);
  });
}

function dial({ host, port, timeoutMs = 1_500 }: Dialled): Promise<{ result: 'open' | 'refused' | 'timeout' }> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const settle = (result: 'open' | 'refused' | 'timeout'): void => {
      socket.destroy();
      resolve({ result });
    };
    socket
      .on('connect', () => settle('open'))
      .on('timeout', () => settle('timeout'))
      .on('error', () => settle('refused'));
  });
}

function ticks({
  url,
  headers = {},
  count,
  timeoutMs = TIMEOUT_MS,
}: Ticked): Promise<{ messages: number; status: number; closed: number }> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { headers });
    let messages = 0;
    let status = 101;
    const timer = setTimeout(() => socket.terminate(), timeoutMs);
    socket.on('message', () => {
      messages++;
      if (messages === count) socket.close(1000);
    });
    socket.on('unexpected-response', (_request, response) => {
      status = response.statusCode ?? 0;
      socket.terminate();
    });
    socket.on('error', () => {});
    socket.on('close', (closed) => {
      clearTimeout(timer);
      resolve({ messages, status, closed });
    });
  });
}

/** Steady requests, new ones whether or not the ones before were answered. */
class Load {
  readonly #agent: Agent | false;
  readonly #timer: NodeJS.Timeout;
  readonly #report = { sent: 0, statuses: {} as Record<string, number>, errors: [] as string[], slowestMs: 0 };
  #headers: Readonly<Record<string, string>>;
  #open = 0;

  constructor(url: string, headers: Readonly<Record<string, string>>, perSecond: number, keepAlive: boolean) {
    this.#headers = headers;
    this.#agent = keepAlive ? new Agent({ keepAlive: true, maxSockets: 4 }) : false;
    this.#timer = setInterval(() => void this.#send(url), 1_000 / perSecond);
  }

  use(headers: Readonly<Record<string, string>>): void {
    this.#headers = headers;
  }

  async stop(): Promise<LoadReport> {
    clearInterval(this.#timer);
    while (this.#open > 0) await sleep(10);
    if (this.#agent !== false) this.#agent.destroy();
    return this.#report;
  }

  async #send(url: string): Promise<void> {
    this.#open++;
    this.#report.sent++;
    const at = performance.now();
    const { status, error, body } = await requestOnce({ do: 'request', url, headers: this.#headers }, this.#agent);
    const key = error ?? String(status);
    this.#report.statuses[key] = (this.#report.statuses[key] ?? 0) + 1;
    if (status !== 200 && this.#report.errors.length < MAX_ERRORS) {
      this.#report.errors.push(`${new Date().toISOString()} ${key} ${body.slice(0, 200)}`);
    }
    this.#report.slowestMs = Math.max(this.#report.slowestMs, Math.round(performance.now() - at));
    this.#open--;
  }
}

const loads = new Map<string, Load>();

async function run(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'request':
      return requestOnce(command);
    case 'burst':
      return Promise.all(Array.from({ length: command.count }, () => requestOnce({ ...command, do: 'request' })));
    case 'dial':
      return dial(command);
    case 'ticks':
      return ticks(command);
    case 'load':
      loads.set(command.name, new Load(command.url, command.headers ?? {}, command.perSecond, command.keepAlive));
      return {};
    case 'useHeaders':
      loads.get(command.name)?.use(command.headers);
      return {};
    case 'stopLoad': {
      const load = loads.get(command.name);
      loads.delete(command.name);
      return load?.stop() ?? { sent: 0, statuses: {}, errors: ['no such load'], slowestMs: 0 };
    }
  }
}

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { id, command } = JSON.parse(line) as { id: number; command: Command };
    process.stdout.write(`${JSON.stringify({ id, answer: await run(command) })}\n`);
  })
  .on('close', () => process.exit(0));
