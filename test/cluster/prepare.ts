// Has etcd and kube-apiserver ready, building them where they must be, so that the tests that follow start at once.
import { findApiServerBinaries } from './api-server-binaries.ts';

const found = await findApiServerBinaries();
if ('reason' in found) console.error(`kube-apiserver: ${found.reason}`);
