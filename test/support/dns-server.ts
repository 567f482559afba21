import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';

/** A name server of the loopback that may answer every question differently. */
export interface DnsServer {
  /** Questions for A records so far. */
  readonly questions: number;
  /** The A records of a name, as this server gives them. */
  resolve(host: string): Promise<readonly string[]>;
  close(): void;
}

/** Starts a name server (RFC 1035) whose answers have no time to live; `answer` is told how many questions came before. */
export async function startDnsServer(answer: (before: number) => readonly string[]): Promise<DnsServer> {
  const socket = createSocket('udp4');
  let questions = 0;
  socket.on('message', (message, from) => {
    const question = message.subarray(12, message.indexOf(0, 12) + 5);
    const addresses = answer(questions++);
    const records = addresses.map((address) =>
      // A pointer to the question's name, type A, class IN, TTL 0, four bytes.
      Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]),
    );
    const head = Buffer.from([...message.subarray(0, 2), 0x81, 0x80, 0, 1, 0, records.length, 0, 0, 0, 0]);
    socket.send(Buffer.concat([head, question, ...records]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.unref(); // a test that fails before it closes must not hang
  const resolver = new Resolver();
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
  return {
    get questions() {
      return questions;
    },
    resolve: (host) => resolver.resolve4(host),
    close: () => socket.close(),
  };
}
