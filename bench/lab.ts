import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Children } from './children.ts';
import { type BenchAlgorithm, mintTokens, type TokenSet } from './tokens.ts';

/** Where a run keeps its files and processes. */
export interface Workspace {
  /** Removed at the end. */
  readonly scratch: string;
  readonly children: Children;
  /** Removes the scratch directory. */
  remove(): void;
}

/** What every case of a run shares. */
export interface Lab extends Workspace {
  readonly tokens: Readonly<Record<BenchAlgorithm, TokenSet>>;
}

/** Makes the scratch directory. */
export function openWorkspace(): Workspace {
  const scratch = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  const output = join(scratch, 'output');
  mkdirSync(output);
  return {
    scratch,
    children: new Children(output),
    remove: () => rmSync(scratch, { recursive: true, force: true }),
  };
}

/** Makes keys and tokens. `nowSeconds`: epoch seconds. */
export function furnish(workspace: Workspace, nowSeconds: number): Lab {
  const mint = (algorithm: BenchAlgorithm) => mintTokens(algorithm, workspace.scratch, nowSeconds);
  return { ...workspace, tokens: { RS256: mint('RS256'), ES256: mint('ES256') } };
}

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
