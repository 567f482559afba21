import { type FSWatcher, watch } from 'node:fs';

const SETTLE_MS = 50;
const POLL_MS = 2_000;

/**
 * Calls `onChange` soon after something in a directory may have changed, and every two seconds whatever happens: not
 * every file system tells. Gives what stops it.
 */
export function watchDirectory(directory: string, onChange: () => void): () => void {
  let watcher: FSWatcher | null = null;
  let settling: NodeJS.Timeout | null = null;
  const open = () => {
    try {
      const opened = watch(directory, () => {
        // An editor writes a file in several steps.
        settling ??= setTimeout(() => {
          settling = null;
          onChange();
        }, SETTLE_MS);
      });
      opened.on('error', () => {
        opened.close();
        watcher = null; // the poll opens it again
      });
      watcher = opened;
    } catch {
      watcher = null; // the directory is gone for now
    }
  };
  open();
  const poll = setInterval(() => {
    if (watcher === null) open();
    onChange();
  }, POLL_MS);
  return () => {
    watcher?.close();
    clearInterval(poll);
    if (settling !== null) clearTimeout(settling);
  };
}
