import { connect, type Socket } from 'node:net';

/** Clients that give up: what an open loop at a fixed rate came to. Latencies in milliseconds. */
export interface ImpatientResult {
  readonly offeredPerSecond: number;
  /** Answered 200 in time. */
  readonly goodPerSecond: number;
  /** Answered otherwise. */
  readonly refusedPerSecond: number;
  readonly gaveUpPerSecond: number;
  /** Of those answered 200 in time. */
  readonly p50: number;
  readonly p99: number;
}

const PATIENCE_MS = 1_000;
const MAX_CONNECTIONS = 4_000;

/**
 * Sends POSTs of `bytes` of JSON at a fixed rate, each on an idle connection or a new one, and hangs up when there is no answer within a
 * second. Run by itself: node impatient.ts PORT RATE SECONDS BYTES; prints one line of JSON.
 */
async function main(port: number, rate: number, seconds: number, bytes: number): Promise<ImpatientResult> {
  const row = '{"price":101.25,"quantity":3}';
  const body = `[${Array(Math.ceil(bytes / (row.length + 1)))
    .fill(row)
    .join(',')}]`;
  const request = Buffer.from(
    `POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const idle: Socket[] = [];
  const latencies: number[] = [];
  let [offered, refused, gaveUp, open] = [0, 0, 0, 0];
  let counting = false;

  const send = (): void => {
    if (counting) offered++;
    const counted = counting;
    let socket = idle.pop();
    if (socket === undefined) {
      if (open >= MAX_CONNECTIONS) {
        if (counted) gaveUp++;
        return;
      }
      open++;
      const fresh = connect({ port, host: '127.0.0.1', noDelay: true });
      fresh.on('error', () => {});
      fresh.on('close', () => {
        open--;
        const at = idle.indexOf(fresh);
        if (at >= 0) idle.splice(at, 1);
      });
      socket = fresh;
    }
    const one = socket;
    const startedAt = performance.now();
    const timer = setTimeout(() => {
      one.removeAllListeners('data');
      one.destroy();
      if (counted) gaveUp++;
    }, PATIENCE_MS);
    one.once('data', (data: Buffer) => {
      clearTimeout(timer);
      const good = data.toString('latin1', 9, 12) === '200';
      if (counted && good) latencies.push(performance.now() - startedAt);
      else if (counted) refused++;
      idle.push(one);
    });
    one.write(request);
  };

  const startedAt = performance.now();
  const warmUpMs = 4_000;
  let sent = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsed = performance.now() - startedAt;
      counting = elapsed >= warmUpMs && elapsed < warmUpMs + seconds * 1_000;
      if (elapsed >= warmUpMs + seconds * 1_000) {
        clearInterval(timer);
        setTimeout(resolve, PATIENCE_MS + 100);
      } else for (; sent < (elapsed * rate) / 1_000; sent++) send();
    }, 2);
  });
  latencies.sort((a, b) => a - b);
  const quantile = (q: number) => latencies[Math.floor((latencies.length - 1) * q)] ?? Number.NaN;
  return {
    offeredPerSecond: offered / seconds,
    goodPerSecond: latencies.length / seconds,
    refusedPerSecond: refused / seconds,
    gaveUpPerSecond: gaveUp / seconds,
    p50: quantile(0.5),
    p99: quantile(0.99),
  };
}

const [port, rate, seconds, bytes] = process.argv.slice(2).map(Number);
console.log(JSON.stringify(await main(port ?? 0, rate ?? 0, seconds ?? 0, bytes ?? 0)));
process.exit(0);
