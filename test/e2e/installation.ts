import { join } from 'node:path';
import { helmBinary } from '../cluster/helm/helm-binary.ts';
import { type ImageName, imageArchive } from '../cluster/images/image-archive.ts';
import { readyPods } from './look.ts';
import { ROOT, timed, until, type World } from './world.ts';

/** Where Portcullis is installed. */
export const OPERATOR_NAMESPACE = 'portcullis-system';

const RELEASE = 'portcullis';
const CHART = join(ROOT, 'charts/portcullis');
const IMAGES: readonly ImageName[] = ['node', 'operator', 'sidecar', 'trading-api', 'redis'];

/** The images that the tests built, never pulled. */
const VALUES = {
  operator: { image: { repository: 'localhost/portcullis-operator', tag: 'test', pullPolicy: 'Never' } },
  sidecar: { image: { repository: 'localhost/portcullis-sidecar', tag: 'test', pullPolicy: 'Never' } },
};

/** Builds and loads the images, runs `helm install --wait`, and waits until webhooks are trusted. Says how long each took. */
export async function installPortcullis(world: World): Promise<string> {
  const images = await timed(async () => {
    for (const image of IMAGES) await world.cluster.load(await imageArchive(image));
  });
  const install = await timed(async () => {
    await helm(world, 'install', RELEASE, CHART, '--create-namespace', ...values(), '--wait', '--timeout', '2m');
    await until('webhooks trusted', async () => {
      for (const kind of ['mutatingwebhookconfiguration', 'validatingwebhookconfiguration']) {
        const { webhooks } = await world.get(kind, RELEASE);
        if (webhooks.some((webhook: { clientConfig: { caBundle?: string } }) => !webhook.clientConfig.caBundle))
          return false;
      }
      return true;
    });
  });
  const pods = await readyPods(world, OPERATOR_NAMESPACE);
  return `images built and loaded in ${images.seconds.toFixed(0)} s, installed in ${install.seconds.toFixed(1)} s, ${pods.length} operator pods ready`;
}

/** `helm upgrade` to other values, waiting for the rollout. */
export async function upgradePortcullis(world: World): Promise<void> {
  const change = ['--set', 'sidecar.appSleepSeconds=4'];
  await helm(world, 'upgrade', RELEASE, CHART, ...values(), ...change, '--wait', '--timeout', '2m');
}

/** `helm uninstall`, waiting until all is gone. */
export async function uninstallPortcullis(world: World): Promise<void> {
  await helm(world, 'uninstall', RELEASE, '--wait', '--timeout', '2m');
}

function values(): string[] {
  return [
    '--set-json',
    `operator=${JSON.stringify(VALUES.operator)}`,
    '--set-json',
    `sidecar=${JSON.stringify(VALUES.sidecar)}`,
  ];
}

async function helm(world: World, ...args: string[]): Promise<void> {
  const found = await helmBinary();
  if ('reason' in found) throw new Error(found.reason);
  const { code, stdout, stderr } = await world.run(found.path, [...args, '-n', OPERATOR_NAMESPACE]);
  if (code === 0) return;
  const pods = await world.run('kubectl', ['get', 'pods', '-n', OPERATOR_NAMESPACE, '-o', 'wide']);
  const logs = await world.run('kubectl', [
    'logs',
    '-n',
    OPERATOR_NAMESPACE,
    '-l',
    'app.kubernetes.io/part-of=portcullis',
    '--tail=30',
    '--prefix',
  ]);
  // Node shows the line of a fault: in a bundle that is all of it.
  const shown = `${stderr}${stdout}\n${pods.stdout}\n${logs.stdout}${logs.stderr}`.replace(/^(.{300}).*/gm, '$1…');
  throw new Error(`helm ${args.join(' ')} failed:\n${shown}`);
}
