import { test } from 'node:test';
import { browserLogin } from './access-browser.ts';
import { externalIssuer } from './access-issuers.ts';
import { logins } from './access-logins.ts';
import { tenants } from './access-tenants.ts';
import { installPortcullis } from './installation.ts';
import { stageOf } from './scenario.ts';
import { worldFor } from './world.ts';

test('who may do what, and how they prove it, in a real cluster', async (t) => {
  const world = await worldFor(t);
  if (world === undefined) return;
  await installPortcullis(world);
  const stage = stageOf(t, world);
  await tenants(stage);
  await externalIssuer(stage);
  await logins(stage);
  await browserLogin(stage);
});
