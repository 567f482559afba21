import type { ForwardedProbe } from '../../runtime/sidecar-arguments.ts';
import type { Capture } from '../config.ts';
import type { Container, Probe } from '../kube/objects.ts';
import type { CoveredPort } from '../workloads/coverage.ts';

/** Rewrites the probes of one pod's containers, and remembers which the sidecar has to forward. */
export interface ProbeRewriter {
  readonly forwarded: readonly ForwardedProbe[];
  rewrite(container: Container): Container;
}

const KINDS = ['liveness', 'readiness', 'startup'] as const;

type Handler = Pick<Probe, 'httpGet' | 'tcpSocket'>;

/**
 * Takeover: readiness of a captured port goes through the admin port; the other probes stay on the application's own port, by number,
 * or a crashing sidecar would get it killed. Bind: on the pod's address there is only the sidecar, so all go through the admin port.
 */
export function probeRewriter(capture: Capture, captured: readonly CoveredPort[], adminPort: number): ProbeRewriter {
  const forwarded: ForwardedProbe[] = [];
  const numbers = new Set(captured.map(({ port }) => port));
  const names = new Set(captured.map(({ name }) => name));

  const rewriteProbe = (probe: Probe, container: Container, kind: ForwardedProbe['kind']): Probe => {
    const byNumber = capture === 'Takeover' ? numbered(probe, container, names) : probe;
    const target = forwardable(probe, container);
    if (target === null || !numbers.has(target.port) || (capture === 'Takeover' && kind !== 'readiness'))
      return byNumber;
    const timeoutSeconds = typeof probe['timeoutSeconds'] === 'number' ? probe['timeoutSeconds'] : 1;
    forwarded.push({ container: container.name, kind, timeoutSeconds, ...target });
    const { httpGet: _httpGet, tcpSocket: _tcpSocket, ...timing } = probe;
    return { ...timing, httpGet: { path: `/probes/${container.name}/${kind}`, port: adminPort, scheme: 'HTTP' } };
  };

  const rewrite = (container: Container): Container => {
    const changed: Record<string, unknown> = {};
    for (const kind of KINDS) {
      const probe = container[`${kind}Probe`];
      if (probe !== undefined) changed[`${kind}Probe`] = rewriteProbe(probe, container, kind);
    }
    if (capture === 'Takeover' && container.lifecycle !== undefined) {
      const { lifecycle } = container;
      changed['lifecycle'] = Object.fromEntries(
        Object.entries(lifecycle).map(([hook, handler]) => [
          hook,
          isHandler(handler) ? numbered(handler, container, names) : handler,
        ]),
      );
    }
    return { ...container, ...changed };
  };
  return { forwarded, rewrite };
}

function isHandler(handler: unknown): handler is Handler {
  return typeof handler === 'object' && handler !== null;
}

/** The same handler with the number of a port that loses its name. */
function numbered<T extends Handler>(handler: T, container: Container, names: ReadonlySet<string | null>): T {
  const byNumber = <A extends { readonly port: number | string }>(action: A): A =>
    typeof action.port === 'string' && names.has(action.port)
      ? { ...action, port: numberOf(action.port, container) ?? action.port }
      : action;
  return {
    ...handler,
    ...(handler.httpGet && { httpGet: byNumber(handler.httpGet) }),
    ...(handler.tcpSocket && { tcpSocket: byNumber(handler.tcpSocket) }),
  };
}

/** The kubelet looks a name up in the probe's own container. */
function numberOf(port: number | string, { ports = [] }: Container): number | undefined {
  return typeof port === 'number' ? port : ports.find(({ name }) => name === port)?.containerPort;
}

type Target = ForwardedProbe extends infer P
  ? P extends ForwardedProbe
    ? Omit<P, 'container' | 'kind' | 'timeoutSeconds'>
    : never
  : never;

/** Where an HTTP or TCP probe of the pod's own address goes; null: it is another. */
function forwardable({ httpGet, tcpSocket }: Probe, container: Container): Target | null {
  const action = httpGet ?? tcpSocket;
  const port = action === undefined ? undefined : numberOf(action.port, container);
  if (action === undefined || port === undefined || (action.host !== undefined && action.host !== '')) return null;
  if (httpGet === undefined) return { type: 'tcp', port };
  return {
    type: 'http',
    port,
    path: httpGet.path ?? '/',
    scheme: httpGet.scheme === 'HTTPS' ? 'HTTPS' : 'HTTP',
    headers: (httpGet.httpHeaders ?? []).map(({ name, value }) => [name, value] as const),
  };
}
