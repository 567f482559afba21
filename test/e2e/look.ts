import type { Manifest, World } from './world.ts';

/** A condition of a resource's status; an empty one where there is none. */
export function condition(
  object: Manifest,
  type: string,
): { status?: string; reason?: string; message?: string; observedGeneration?: number } {
  return object?.status?.conditions?.find((one: Manifest) => one.type === type) ?? {};
}

/** Pods, those being deleted included. */
export async function podsOf(world: World, namespace: string, selector?: string): Promise<readonly Manifest[]> {
  return world.list('pods', namespace, selector);
}

/** Pods that are Ready and not being deleted. */
export async function readyPods(world: World, namespace: string, selector?: string): Promise<readonly Manifest[]> {
  const pods = await podsOf(world, namespace, selector);
  return pods.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && condition(pod, 'Ready').status === 'True',
  );
}

/** Cluster address and first port of a Service. */
export async function serviceAddress(world: World, namespace: string, name: string): Promise<string> {
  const { spec } = await world.get('service', name, namespace);
  return `${spec.clusterIP}:${spec.ports[0].port}`;
}

/** A token as an admin makes one: kubectl portcullis token --kube. */
export async function tokenFor(
  world: World,
  namespace: string,
  keySet: string,
  claims: object,
  lifetime: string,
): Promise<string> {
  const args = [
    'token',
    '--kube',
    '-n',
    namespace,
    '--key-set',
    keySet,
    '--claims',
    JSON.stringify(claims),
    '--expires-in',
    lifetime,
  ];
  const { code, stdout, stderr } = await world.portcullis(args);
  if (code !== 0) throw new Error(`portcullis ${args.join(' ')} failed:\n${stderr}`);
  return stdout.trim();
}
