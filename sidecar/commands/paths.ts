import { join } from 'node:path';
import { SIDECAR_PATHS } from '../../runtime/sidecar-arguments.ts';

/** A path of the container; for tests below the directory that PORTCULLIS_ROOT names. */
export function containerPath(name: keyof typeof SIDECAR_PATHS): string {
  return join(process.env['PORTCULLIS_ROOT'] ?? '/', SIDECAR_PATHS[name]);
}
