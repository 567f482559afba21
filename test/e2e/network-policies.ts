import type { Manifest, World } from './world.ts';

/** Dials an address and port from a pod. */
export type Dial = (host: string, port: number) => Promise<'open' | 'refused' | 'timeout'>;

const CHAIN = 'PORTCULLIS-TEST';

/**
 * Enforces the ingress of a namespace's NetworkPolicies between pods while `work` dials from the Deployment `open`: nothing in the
 * test cluster does. Each is one allow list of ports from everywhere; anything else is refused here, for this is a test double.
 * Rules stand in a chain of their own before FORWARD, which sees bridged traffic after kube-proxy's DNAT.
 */
export async function enforceNetworkPolicies<Result>(
  world: World,
  namespace: string,
  work: (dial: Dial) => Promise<Result>,
): Promise<Result> {
  const iptables = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await world.run('iptables', ['-w', ...args]);
    if (code !== 0) throw new Error(`iptables ${args.join(' ')}: ${stderr}`);
  };
  await iptables('-N', CHAIN);
  try {
    for (const policy of await world.list('networkpolicies', namespace)) {
      for (const pod of await world.list('pods', namespace)) {
        if (matches(policy.spec.podSelector, pod.metadata.labels)) {
          for (const rule of rulesFor(policy, pod)) await iptables('-A', CHAIN, ...rule);
        }
      }
    }
    await iptables('-I', 'FORWARD', '-j', CHAIN);
    return await work((host, port) => dialFromPod(world, namespace, host, port));
  } finally {
    await world.run('iptables', ['-w', '-D', 'FORWARD', '-j', CHAIN]);
    await world.run('iptables', ['-w', '-F', CHAIN]);
    await world.run('iptables', ['-w', '-X', CHAIN]);
  }
}

function rulesFor(policy: Manifest, pod: Manifest): string[][] {
  const to = ['-d', pod.status.podIP];
  const allowed = (policy.spec.ingress ?? []).flatMap(({ from, ports }: Manifest) => {
    if (from !== undefined || ports === undefined) throw new Error('not supported by this double: from, or no ports');
    return ports.map(({ protocol = 'TCP', port, endPort }: Manifest) => {
      if (typeof port === 'string') throw new Error('not supported by this double: ports by name');
      const range = endPort === undefined ? String(port) : `${port}:${endPort}`;
      const ports = port === undefined ? [] : ['--dport', range];
      return [...to, '-p', protocol.toLowerCase(), ...ports, '-j', 'RETURN'];
    });
  });
  const answers = [...to, '-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'RETURN'];
  return [answers, ...allowed, [...to, '-j', 'DROP']];
}

function matches({ matchLabels = {}, matchExpressions = [] }: Manifest, labels: Record<string, string> = {}): boolean {
  if (matchExpressions.length > 0) throw new Error('not supported by this double: matchExpressions');
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}

const DIAL = `const s = require('node:net').connect({host: process.argv[1], port: +process.argv[2], timeout: 1500});
const say = (text) => { console.log(text); process.exit(0); };
s.on('connect', () => say('open')).on('timeout', () => say('timeout')).on('error', () => say('refused'));`;

async function dialFromPod(
  world: World,
  namespace: string,
  host: string,
  port: number,
): Promise<'open' | 'refused' | 'timeout'> {
  const node = ['node', '-e', DIAL, host, String(port)];
  const exec = ['exec', '-n', namespace, 'deployment/open', '-c', 'api', '--', ...node];
  // kubectl's own log lines (an unknown stream, now and then) are on stderr: only what the pod printed counts.
  const { code, stdout, stderr } = await world.run('kubectl', exec);
  if (code !== 0) throw new Error(`kubectl ${exec.join(' ')} failed:\n${stderr}${stdout}`);
  return stdout.trim() as 'open' | 'refused' | 'timeout';
}
