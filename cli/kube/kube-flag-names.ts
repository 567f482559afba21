/** Flags of every command that talks to a cluster, for parseArgs; named as kubectl names them. */
export const KUBE_FLAGS = {
  namespace: { type: 'string', short: 'n' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
} as const;

/** The lines of a command's help about KUBE_FLAGS. */
export const KUBE_HELP = `  -n, --namespace NS     namespace (default: the context's)
  --kubeconfig FILE      kubeconfig (default: KUBECONFIG, then ~/.kube/config)
  --context NAME         context of the kubeconfig`;

/** Values of KUBE_FLAGS. */
export interface KubeValues {
  readonly namespace?: string | undefined;
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}
