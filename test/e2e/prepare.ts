// Has everything ready that the real cluster needs, building and installing where it must, so that its progress can be seen.
import { prepareCluster } from '../cluster/cluster.ts';
import { helmBinary } from '../cluster/helm/helm-binary.ts';
import { missingPrograms } from '../support/system-programs.ts';

const prepared = await prepareCluster();
if ('reason' in prepared) console.error(prepared.reason);
else {
  const helm = await helmBinary();
  const missing = missingPrograms({
    'redis-server': 'redis-server',
    prometheus: 'prometheus',
    promtool: 'prometheus',
    chromium: 'chromium',
  });
  for (const reason of ['reason' in helm ? helm.reason : null, missing]) if (reason !== null) console.error(reason);
}
