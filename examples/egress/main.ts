import { openLogSink } from '../../runtime/log.ts';
import { startExample } from './start-example.ts';

const sink = openLogSink();
const { local, policies, stop } = await startExample({ host: '127.0.0.1', port: 14182 }, sink, console.error);
const egress = `http://127.0.0.1:${local.sidecar.egressPort()}/broker`;
console.error(`A broker stands in, and this is your way to it. Policies: ${policies}

  curl -i '${egress}/api/v3/order?symbol=BTCUSDT'          200, with the desk's key; every third is a 429 that is tried again
  curl -i -X POST ${egress}/sapi/v1/capital/withdraw/apply   403: not in allow
  curl -i http://127.0.0.1:${local.sidecar.egressPort()}/elsewhere/                          404: no broker of that name
  curl -s http://127.0.0.1:${local.sidecar.admin.port}/metrics | grep portcullis_egress

Ctrl-C ends it.`);
process.once('SIGINT', () => void stop().finally(() => process.exit(0)));
process.once('SIGTERM', () => void stop().finally(() => process.exit(0)));
