import type { LogSink } from '../../runtime/log.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';

/** Rule label and log field for requests that no rule matches. */
const NO_RULE = 'none';

/** Counts every exchange and writes its line: one JSON object, without query, headers or anything secret. */
export function requestLog(sink: LogSink, metrics: PolicyMetrics, ruleNames: readonly string[]): Filter {
  const byIndex = ruleNames.map((name) => metrics.statusesOf(name));
  const unmatched = metrics.statusesOf(NO_RULE);
  return {
    name: 'request-log',
    onFinish: (exchange) => {
      const seconds = (performance.now() - exchange.startedAt) / 1_000;
      const statuses = exchange.rule === null ? unmatched : (byIndex[exchange.rule.index] as Float64Array);
      statuses[exchange.status] = (statuses[exchange.status] as number) + 1;
      metrics.requestDuration.record(seconds);
      if (exchange.shadowDenials !== null) metrics.shadowDenied(exchange.shadowDenials);
      if (exchange.refusal.startsWith('upstream_')) metrics.upstreamFailed(exchange.refusal);
      sink.write(logLine(exchange, seconds * 1_000));
    },
  };
}

/** Built by hand: a general serializer costs more than the policy. Path, host and rule names need no escaping by construction. */
function logLine(exchange: Exchange, durationMs: number): string {
  const { identity, rule } = exchange;
  let line = `{"level":30,"time":${exchange.receivedAt},"msg":"request","requestId":"${exchange.id}","method":"${exchange.method}","host":"${exchange.host}","path":"${exchange.path}","status":${exchange.status},"durationMs":${Math.round(durationMs * 1_000) / 1_000},"bytes":${exchange.bytesSent},"client":"${exchange.clientAddress}","rule":"${rule === null ? NO_RULE : rule.name}"`;
  if (identity !== null) {
    line += `,"authenticator":"${exchange.authenticator}","user":${JSON.stringify(identity.user)}`;
    if (identity.tenant !== null) line += `,"tenant":${JSON.stringify(identity.tenant)}`;
  }
  if (exchange.refusal !== '') {
    line += `,"code":"${exchange.refusal}","reason":${JSON.stringify(exchange.refusalReason)}`;
  }
  if (exchange.shadowDenials !== null) {
    const denials = exchange.shadowDenials.map(({ layer, code, reason }) => ({ layer, code, reason }));
    line += `,"shadow":${JSON.stringify(denials)}`;
  }
  return `${line}}\n`;
}
