import { bundles } from './fuzz-bundles.ts';
import { files } from './fuzz-files.ts';
import { json } from './fuzz-json.ts';
import { jwkSets } from './fuzz-jwks.ts';
import { paths } from './fuzz-paths.ts';
import { policies } from './fuzz-policies.ts';
import { tokens } from './fuzz-tokens.ts';
import type { Target } from './target.ts';

/** All that can be fuzzed, by name. */
export const targets: Readonly<Record<string, Target>> = {
  tokens,
  paths,
  json,
  'jwk-sets': jwkSets,
  policies,
  files,
  bundles,
};
