import { test } from 'node:test';
import { installPortcullis } from './installation.ts';
import { keyMistakes } from './key-mistakes.ts';
import { keyRestores } from './key-restores.ts';
import { keyRotations } from './key-rotations.ts';
import { keyUses } from './key-uses.ts';
import { stageOf } from './scenario.ts';
import { worldFor } from './world.ts';

test('the life of keys in a real cluster', async (t) => {
  const world = await worldFor(t);
  if (world === undefined) return;
  await installPortcullis(world);
  const stage = stageOf(t, world);
  await keyUses(stage);
  await keyMistakes(stage);
  await keyRestores(stage);
  await keyRotations(stage);
});
