import { test } from 'node:test';
import { installPortcullis } from './installation.ts';
import { egress } from './limits-egress.ts';
import { replicas } from './limits-replicas.ts';
import { stageOf } from './scenario.ts';
import { worldFor } from './world.ts';

test('limits, blocks and egress over several pods in a real cluster', async (t) => {
  const world = await worldFor(t);
  if (world === undefined) return;
  await installPortcullis(world);
  const stage = stageOf(t, world);
  await replicas(stage);
  await egress(stage);
});
