import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../go-binaries.ts';

/** Images that do not change with our sources; `images/build` says what is in each. */
export type BaseImage = 'pause' | 'node' | 'iptables' | 'redis';

/** Path of an OCI archive of a base image, from the cache or built now by test/cluster/images/build. */
export async function imageArchive(image: BaseImage): Promise<string> {
  const script = join(import.meta.dirname, 'build');
  const hash = createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 12);
  const path = join(cacheDirectory(), 'images', `${image}-${hash}.tar`);
  if (existsSync(path)) return path;
  mkdirSync(join(path, '..'), { recursive: true });
  const partial = `${path}.${process.pid}`;
  const { status, stderr } = spawnSync(script, [image, partial], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`building the image ${image} failed: ${stderr}`);
  renameSync(partial, path);
  return path;
}
