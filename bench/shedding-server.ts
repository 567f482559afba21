import { Engine } from '../sidecar/engine/engine.ts';
import { compileBodies } from '../sidecar/filters/validate-body.ts';
import { LoadMonitor } from '../sidecar/load/load-monitor.ts';
import { NO_METRICS } from '../sidecar/metrics/policy-metrics.ts';
import { buildPipeline } from '../sidecar/pipeline/build-pipeline.ts';
import { memoryStores } from '../sidecar/stores/open-stores.ts';
import { baseAccess, openToAll } from '../test/support/sidecar-under-test.ts';

const side = {
  type: 'object',
  required: ['price', 'quantity'],
  properties: { price: { type: 'number' }, quantity: { type: 'number' } },
};

/** The process that is measured: an engine whose policy checks large bodies, which is dear, with shedding or without. */
async function main(port: number, upstreamPort: number, sheds: boolean): Promise<void> {
  const rule = {
    ...openToAll,
    body: {
      contentTypes: ['application/json'],
      maxBytes: 1_048_576,
      schema: { type: 'array', items: side },
      rules: [],
    },
  };
  const access = { ...baseAccess, rules: [rule] };
  const load = new LoadMonitor();
  const engine = new Engine({
    upstream: { host: '127.0.0.1', port: upstreamPort },
    nextRequestId: () => 'bench',
    onFilterFault: (filter, error) => console.error(filter.name, error),
    onProtocolRefusal: () => {},
  });
  engine.use(
    buildPipeline({
      access,
      limits: null,
      stores: memoryStores(),
      bodies: await compileBodies(access),
      verifier: { verify: () => 'malformed' },
      metrics: NO_METRICS,
      sink: { write: () => {}, dropped: () => 0 } as never,
      ...(sheds && { load }),
    }),
  );
  await engine.listen('127.0.0.1', port);
}

const [port, upstreamPort, sheds] = process.argv.slice(2);
await main(Number(port), Number(upstreamPort), sheds === 'on');
