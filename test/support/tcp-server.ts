import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** A TCP server on a free port of the loopback. */
export interface TcpServer extends AsyncDisposable {
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Cuts what is open and stops; so does disposing. */
  close(): Promise<void>;
}

/** Starts a server that hands each connection to `onConnection`. Errors of connections are nobody's concern. */
export function tcpServer(onConnection: (socket: Socket) => void): Promise<TcpServer> {
  return serve(createServer({ noDelay: true, allowHalfOpen: true }, onConnection));
}

/** Gives a server of any kind a port and a way to close it at once. */
export async function serve(server: Server): Promise<TcpServer> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    return closed;
  };
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    get accepted() {
      return accepted;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
