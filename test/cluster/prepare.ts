// Has etcd, kube-apiserver and helm ready, building them where they must be, so that the tests that follow start at once.
import { findApiServerBinaries } from './api-server-binaries.ts';
import { helmBinary } from './helm/helm-binary.ts';

for (const [name, found] of Object.entries({
  'kube-apiserver': await findApiServerBinaries(),
  helm: await helmBinary(),
})) {
  if ('reason' in found) console.error(`${name}: ${found.reason}`);
}
