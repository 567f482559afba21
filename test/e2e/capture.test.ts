import { test } from 'node:test';
import { captures } from './captures.ts';
import { installPortcullis } from './installation.ts';
import { mistakes } from './mistakes.ts';
import { stageOf } from './scenario.ts';
import { worldFor } from './world.ts';

test('captures, and what cannot be guarded, in a real cluster', async (t) => {
  const world = await worldFor(t);
  if (world === undefined) return;
  await installPortcullis(world);
  const stage = stageOf(t, world);
  await captures(stage);
  await mistakes(stage);
});
