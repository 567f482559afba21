import { getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';

/** What the thread is asked: whether the password is that of the first hash. The others are computed for their cost. */
export interface BcryptTask {
  readonly password: string;
  readonly hashes: readonly string[];
}

// On Linux a thread has a priority of its own: requests that need no bcrypt come first.
setPriority(0, Math.min(19, getPriority(0) + 10));

parentPort?.on('message', ({ password, hashes }: BcryptTask) => {
  const [first] = hashes.map((hash) => compareSync(password, hash));
  parentPort?.postMessage(first === true);
});
