import { parseArgs } from 'node:util';
import { startTradingApi } from './start-trading-api.ts';

const { values } = parseArgs({
  options: { host: { type: 'string' }, port: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
});

if (values.help) {
  console.log(
    'trading-api [--host ADDRESS] [--port PORT]   (or HOST and PORT; default 127.0.0.1:3000, port 0: any free one)',
  );
} else {
  const host = values.host ?? process.env['HOST'] ?? '127.0.0.1';
  const port = Number(values.port ?? process.env['PORT'] ?? 3000);
  const api = await startTradingApi({ host, port });
  console.log(`trading-api listens on http://${host}:${api.port}`);
  const stop = (): void => void api.close().then(() => process.exit(0));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}
