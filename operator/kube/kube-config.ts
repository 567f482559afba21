import { KubeConfig } from '@kubernetes/client-node';
import { PortcullisError } from '../../policy/errors.ts';

/**
 * Where the API server is and who we are there: the file at `path`, else what kubectl would take (KUBECONFIG,
 * ~/.kube/config), else the pod's ServiceAccount. Throws `config_invalid` when there is none, or not that context.
 */
export function loadKubeConfig(options: { readonly path?: string; readonly context?: string } = {}): KubeConfig {
  const kubeConfig = new KubeConfig();
  const { path, context } = options;
  try {
    if (path === undefined) kubeConfig.loadFromDefault();
    else kubeConfig.loadFromFile(path);
  } catch (cause) {
    throw new PortcullisError('config_invalid', `the kubeconfig cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (context !== undefined) kubeConfig.setCurrentContext(context);
  const server = kubeConfig.getCurrentCluster()?.server;
  if (server === undefined) {
    const known = kubeConfig.getContexts().map(({ name }) => name);
    throw new PortcullisError(
      'config_invalid',
      `the kubeconfig has no context "${kubeConfig.getCurrentContext() ?? ''}" with a cluster; it has ${known.join(', ') || 'none'}`,
    );
  }
  if (!server.startsWith('https:')) {
    throw new PortcullisError(
      'config_invalid',
      `no cluster found: set KUBECONFIG, write ~/.kube/config or run in a pod; the server must begin with https: (now ${server})`,
    );
  }
  return kubeConfig;
}

/** The namespace of the current context; `default` where it names none. */
export function namespaceOf(kubeConfig: KubeConfig): string {
  return kubeConfig.getContextObject(kubeConfig.getCurrentContext())?.namespace || 'default';
}
