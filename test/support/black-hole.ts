import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

/** An address whose connections are never accepted: packets in, silence out. */
export interface BlackHole extends AsyncDisposable {
  readonly port: number;
}

const LISTEN_AND_FREEZE = `
  const { createServer } = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 20);
  });
`;

/** Listens with the smallest backlog, freezes and fills it: whoever connects next waits for ever. */
export async function blackHole(): Promise<BlackHole> {
  const worker = new Worker(LISTEN_AND_FREEZE, { eval: true });
  const port = await new Promise<number>((resolve) => worker.once('message', resolve));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const fillers: Socket[] = [];
  for (let i = 0; i < 4; i++) fillers.push(connect(port, '127.0.0.1').on('error', () => {}));
  await new Promise((resolve) => setTimeout(resolve, 100));
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of fillers) socket.destroy();
      await worker.terminate();
    },
  };
}
