import type { HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { NAMESPACES, PODS, SERVICES } from '../../operator/kube/objects.ts';
import { ACCESS_POLICIES, RATE_LIMIT_POLICIES } from '../../operator/resources.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { ReportInput } from './report.ts';

/** Reads a namespace for a report. Throws `config_invalid` when there is no such namespace or Service. */
export async function readNamespace(
  client: HttpsKubeClient,
  namespace: string,
  service: string | null,
): Promise<ReportInput> {
  const [found, services, pods, accessPolicies, rateLimitPolicies] = await Promise.all([
    client.get(NAMESPACES, { name: namespace }),
    client.list(SERVICES, { namespace }),
    client.list(PODS, { namespace }),
    client.list(ACCESS_POLICIES, { namespace }),
    client.list(RATE_LIMIT_POLICIES, { namespace }),
  ]);
  if (found === null) throw new PortcullisError('config_invalid', `no namespace ${namespace}; name it with -n`);
  if (service !== null && !services.items.some(({ metadata }) => metadata.name === service)) {
    const known = services.items.map(({ metadata }) => metadata.name).join(', ') || 'none';
    throw new PortcullisError('config_invalid', `no Service ${service} in ${namespace}; there are: ${known}`);
  }
  return {
    namespace: found,
    services: services.items,
    pods: pods.items,
    accessPolicies: accessPolicies.items,
    rateLimitPolicies: rateLimitPolicies.items,
  };
}

/** The Service that `svc/NAME`, `service/NAME` or `NAME` names. Throws `config_invalid` on another kind. */
export function serviceNamed(text: string): string {
  const [kind = '', name] = text.split('/');
  if (name === undefined) return kind;
  if (['svc', 'service', 'services'].includes(kind) && name !== '') return name;
  throw new PortcullisError('config_invalid', `write svc/NAME, not ${JSON.stringify(text)}`);
}
