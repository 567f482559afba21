import { connectKubeClient, type HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { loadKubeConfig, namespaceOf } from '../../operator/kube/kube-config.ts';
import type { KubeObject, ResourceType } from '../../operator/kube/objects.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { KubeValues } from './kube-flag-names.ts';

/** A cluster as the flags name it. */
export interface KubeTarget {
  readonly client: HttpsKubeClient;
  readonly kubeConfig: ReturnType<typeof loadKubeConfig>;
  readonly namespace: string;
}

/** Connects as kubectl would. Throws `config_invalid`. */
export function connectTo({ namespace, kubeconfig, context }: KubeValues): KubeTarget {
  const kubeConfig = loadKubeConfig({
    ...(kubeconfig !== undefined && { path: kubeconfig }),
    ...(context !== undefined && { context }),
  });
  return { kubeConfig, client: connectKubeClient(kubeConfig), namespace: namespace ?? namespaceOf(kubeConfig) };
}

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly clientConfig?: { readonly service?: { readonly namespace?: string } } }[];
}

const WEBHOOKS: ResourceType<WebhookConfiguration> = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
  namespaced: false,
};

/** The namespace that Portcullis was installed into: where its webhook's Service is. Throws `config_invalid` when it is not found. */
export async function operatorNamespace(client: HttpsKubeClient): Promise<string> {
  const { items } = await client.list(WEBHOOKS, { labelSelector: 'app.kubernetes.io/part-of=portcullis' });
  const namespace = items[0]?.webhooks?.[0]?.clientConfig?.service?.namespace;
  if (namespace !== undefined) return namespace;
  const problem =
    'Portcullis is not installed in this cluster; install its chart, or name where it was with --operator-namespace';
  throw new PortcullisError('config_invalid', problem);
}
