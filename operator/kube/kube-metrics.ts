import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** Metrics of the operator runtime, under the names that client-go and controller-runtime use where they have one. */
export class KubeMetrics {
  readonly requests: Counter<'method' | 'code'>;
  readonly watchFailures: Counter<'resource' | 'reason'>;
  readonly listenerErrors: Counter<'resource'>;
  readonly reconciles: Counter<'controller' | 'result'>;
  readonly reconcileErrors: Counter<'controller'>;
  readonly reconcileSeconds: Histogram<'controller'>;
  readonly queueDepth: Gauge<'name'>;
  readonly queueAdds: Counter<'name'>;
  readonly queueSeconds: Histogram<'name'>;
  readonly workSeconds: Histogram<'name'>;
  readonly queueRetries: Counter<'name'>;
  readonly leader: Gauge<'name'>;
  readonly eventsDropped: Counter<'reason'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'rest_client_requests_total',
      help: 'Requests to the API server by method and status; "<error>": no answer.',
      labelNames: ['method', 'code'],
      registers,
    });
    this.watchFailures = new Counter({
      name: 'portcullis_watch_failures_total',
      help: 'Lists and watches that failed and are tried again, by resource and reason.',
      labelNames: ['resource', 'reason'],
      registers,
    });
    this.listenerErrors = new Counter({
      name: 'portcullis_watch_listener_errors_total',
      help: 'Changes whose listener threw: a bug; the watch goes on.',
      labelNames: ['resource'],
      registers,
    });
    this.reconciles = new Counter({
      name: 'controller_runtime_reconcile_total',
      help: 'Reconciliations by controller and result (success, requeue, requeue_after, error).',
      labelNames: ['controller', 'result'],
      registers,
    });
    this.reconcileErrors = new Counter({
      name: 'controller_runtime_reconcile_errors_total',
      help: 'Reconciliations that failed and are tried again.',
      labelNames: ['controller'],
      registers,
    });
    this.reconcileSeconds = new Histogram({
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'How long a reconciliation takes.',
      labelNames: ['controller'],
      buckets: SECONDS,
      registers,
    });
    this.queueDepth = new Gauge({
      name: 'workqueue_depth',
      help: 'Keys that wait for a worker.',
      labelNames: ['name'],
      registers,
    });
    this.queueAdds = new Counter({
      name: 'workqueue_adds_total',
      help: 'Keys put into the queue; one that waits there already is not put again.',
      labelNames: ['name'],
      registers,
    });
    this.queueSeconds = new Histogram({
      name: 'workqueue_queue_duration_seconds',
      help: 'How long a key waits for a worker.',
      labelNames: ['name'],
      buckets: SECONDS,
      registers,
    });
    this.workSeconds = new Histogram({
      name: 'workqueue_work_duration_seconds',
      help: 'How long a worker takes for a key.',
      labelNames: ['name'],
      buckets: SECONDS,
      registers,
    });
    this.queueRetries = new Counter({
      name: 'workqueue_retries_total',
      help: 'Keys put back with a delay that grows.',
      labelNames: ['name'],
      registers,
    });
    this.leader = new Gauge({
      name: 'leader_election_master_status',
      help: '1 while this replica holds the Lease, else 0.',
      labelNames: ['name'],
      registers,
    });
    this.eventsDropped = new Counter({
      name: 'portcullis_events_dropped_total',
      help: 'Kubernetes Events not written, by reason (rate, queue, refused).',
      labelNames: ['reason'],
      registers,
    });
  }
}
