import type { Logger } from 'pino';
import { fetchPinned } from '../outbound/fetch-pinned.ts';
import { ExternalJwks } from './external-jwks.ts';

/** Who is told of fetches. */
export interface ExternalJwksListeners {
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly metrics: { jwksFetched(uri: string, success: boolean): void };
}

/** The keys of issuers outside, fetched over the network; nothing is fetched before `open` is called on it. */
export function openExternalJwks({ log, metrics }: ExternalJwksListeners): ExternalJwks {
  return new ExternalJwks({
    fetch: (config) => fetchPinned(config.uri, config),
    now: () => performance.now(),
    random: Math.random,
    after: (ms, run) => {
      const timer = setTimeout(run, ms).unref();
      return () => clearTimeout(timer);
    },
    report: (outcome) => {
      const { uri } = outcome.config;
      metrics.jwksFetched(uri, !('error' in outcome));
      if ('error' in outcome) {
        const reason = outcome.error instanceof Error ? outcome.error.message : String(outcome.error);
        log.warn({ uri, reason }, 'JWKS not fetched, onFailure decides');
      } else {
        log.info({ uri, keys: outcome.keys, skipped: outcome.skipped }, 'JWKS fetched');
      }
    },
  });
}
