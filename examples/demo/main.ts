import { parseArgs } from 'node:util';
import { Screen } from './screen.ts';
import { tour } from './tour.ts';
import { startWorld, type World } from './world.ts';

const HELP = `npm run demo -- [--check] [--port N]

  Starts a small trading API behind Portcullis in local mode, with keys that rotate every 4 s, and shows what happens.

  --check    run the tour, assert each step, exit 0 (or 1 with the reason)
  --port N   port of the guarded API; default 8080, with --check any free one
`;

const { check = false, port, help } = readFlags();

if (help) {
  process.stdout.write(HELP);
} else {
  const screen = new Screen();
  let world: World | null = null;
  let stopping: Promise<never> | null = null;
  const end = async (code: number): Promise<never> => {
    await world?.stop();
    process.exit(code);
  };
  const stop = (code: number): Promise<never> => {
    stopping ??= end(code);
    return stopping;
  };
  process.on('SIGINT', () => void stop(130));
  process.on('SIGTERM', () => void stop(143));
  try {
    world = await startWorld(Number(port ?? (check ? 0 : 8080)));
    await tour(world, screen);
  } catch (error) {
    // A tour that is interrupted fails because its world is gone: that is no news.
    if (stopping === null) process.stderr.write(`\ndemo failed: ${(error as Error).message}\n`);
    await stop(1);
  }
  if (check) {
    process.stdout.write('\nall steps as told\n');
    await stop(0);
  } else if (world !== null) {
    tryYourself(screen, world);
  }
}

function readFlags() {
  try {
    const { values } = parseArgs({
      options: { check: { type: 'boolean' }, port: { type: 'string' }, help: { type: 'boolean' } },
    });
    if (values.port === undefined || /^\d{1,5}$/.test(values.port)) return values;
    throw new Error(`--port must be a number such as 8080, not ${JSON.stringify(values.port)}`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

function tryYourself(screen: Screen, world: World): void {
  const { url, admin, policies, state } = world;
  world.calmDown();
  screen.heading('Try it yourself; Ctrl-C ends it');
  const claims = `'{"sub":"tom","roles":["trader"]}'`;
  screen.say(`TOKEN=$(npm run -s portcullis -- token --state ${state} --key-set trading --claims ${claims})`);
  screen.say(`curl -i ${url}/orders -H "Authorization: Bearer $TOKEN"`);
  screen.say(`curl ${admin}/status`);
  screen.say(
    `\${EDITOR:-vi} ${policies}/access.yaml     # taken over when you save; a mistake is refused, with its place`,
  );
}
