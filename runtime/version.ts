import { readFileSync } from 'node:fs';

/** The version in package.json. Replaced by that version's text where scripts/build.ts bundles. */
export function packageVersion(): string {
  const manifest: { version: string } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return manifest.version;
}
