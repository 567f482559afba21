import { createHash } from 'node:crypto';
import { realpath, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortcullisError } from '../../policy/errors.ts';

/**
 * Takes a state directory for this process and gives what gives it back. The lock is a listening local socket: it goes
 * when the process does, however it ends. Throws config_invalid when another process has it.
 */
export async function lockState(directory: string): Promise<() => Promise<void>> {
  const path = lockPath(await realpath(directory));
  const server = createServer((socket) => socket.destroy());
  const listen = () =>
    new Promise<void>((done, failed) => {
      server.once('error', failed);
      server.listen(path, () => {
        server.off('error', failed);
        done();
      });
    });
  try {
    await listen().catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' || (await answers(path))) throw error;
      // Only a socket that is a file can outlive its process.
      await unlink(path);
      await listen();
    });
  } catch (cause) {
    throw new PortcullisError(
      'config_invalid',
      `another portcullis local uses the state directory ${directory}; stop it, or choose another with --state`,
      { cause },
    );
  }
  server.unref();
  return () => new Promise((done) => server.close(() => done()));
}

function lockPath(directory: string): string {
  const name = `portcullis-${createHash('sha256').update(directory).digest('hex').slice(0, 32)}`;
  if (process.platform === 'linux') return `\0${name}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
