import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { goBinary, KUBENODE, type Unavailable } from './go-binaries.ts';

/** Paths of the two programs. */
export interface ApiServerBinaries {
  readonly etcd: string;
  readonly kubeApiserver: string;
}

/** Finds etcd and kube-apiserver in KUBEBUILDER_ASSETS, else takes them from kubenode, which is built where it must be. */
export async function findApiServerBinaries(): Promise<ApiServerBinaries | Unavailable> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets) {
    const found = binariesIn(assets);
    return isComplete(found) ? found : { reason: `KUBEBUILDER_ASSETS=${assets} does not hold etcd and kube-apiserver` };
  }
  const built = await goBinary(KUBENODE);
  if ('directory' in built) return binariesIn(built.directory);
  const remedy = 'or set KUBEBUILDER_ASSETS to a directory with etcd and kube-apiserver (setup-envtest use -p path)';
  return { reason: `${built.reason}; ${remedy}` };
}

function binariesIn(directory: string): ApiServerBinaries {
  return { etcd: join(directory, 'etcd'), kubeApiserver: join(directory, 'kube-apiserver') };
}

function isComplete(binaries: ApiServerBinaries): boolean {
  try {
    for (const path of [binaries.etcd, binaries.kubeApiserver]) accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
