// Has redis-server ready, installing it where it may, so that the tests that follow start at once.
import { redisMissing } from './redis-server.ts';

const reason = redisMissing();
if (reason !== false) console.error(`redis-server: ${reason}`);
