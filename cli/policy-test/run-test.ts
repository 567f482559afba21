import { dirname, join } from 'node:path';
import { PortcullisError } from '../../policy/errors.ts';
import { loadPolicies } from '../explain/load-policies.ts';
import { choiceOf, POLICY_FLAGS, POLICY_HELP } from '../explain/policy-flags.ts';
import { readBodyFile } from '../explain/read-body.ts';
import type { PolicyChoice } from '../local/check-policies.ts';
import { readPolicyFile } from '../local/policy-files.ts';
import { parseFlags } from '../parse-flags.ts';
import type { CommandIo } from '../token/run-token.ts';
import { type PolicyCase, parseCases } from './parse-cases.ts';
import { renderResults, resultsAsJson } from './report.ts';
import { runCases } from './run-cases.ts';

const HELP = `portcullis test --policies DIR CASES.yaml... [FLAGS]

Decides the requests of one or more files by the policies of a directory, and says where the outcome is not the expected one, with
the reason. Nothing is started and no key is needed. Rate limits are not counted. A policy with mode Shadow is tested as if it
were Enforce.

${POLICY_HELP}
  -o, --output FORMAT       json; default: text
  --help                    this text

A file is a list of cases:

  - name: a viewer places no order
    request: POST /orders       # or {method, path, host, headers, from, at}
    claims: { sub: ann, roles: [viewer] }   # of a valid token; left out or null: no token
    body: { symbol: MSFT, quantity: 1 }     # sent as JSON, a text as it stands; or bodyFile: PATH from this file's directory
    expect: deny                # or allow, or a status, or any of {decision, status, code, rule}

Exit code: 0 when every case passed, 1 when not, 2 when they could not be run; the reason is on standard error.
`;

const MORE = 'see portcullis test --help';

const FLAGS = { ...POLICY_FLAGS, output: { type: 'string', short: 'o' }, help: { type: 'boolean' } } as const;

interface TestOptions {
  readonly choice: PolicyChoice;
  readonly files: readonly string[];
  readonly json: boolean;
}

/** The command `portcullis test`: `argv` without the command's name. Resolves to the exit code; see HELP. */
export async function runTest(argv: readonly string[], io: CommandIo): Promise<number> {
  const say = (line: string) => void io.stderr.write(`${line}\n`);
  try {
    const options = parseOptions(argv);
    if (options === null) {
      io.stdout.write(HELP);
      return 0;
    }
    const policies = await loadPolicies(options.choice, say);
    const { namespace, name, mode } = policies.access;
    if (mode === 'Shadow') say(`AccessPolicy ${namespace}/${name} has mode Shadow: tested as if it were Enforce`);
    const results = await runCases(policies, await readCases(options.files), io.now());
    io.stdout.write(options.json ? resultsAsJson(results) : renderResults(results));
    return results.every(({ differences }) => differences.length === 0) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof PortcullisError)) throw error;
    say(error.code === 'policy_invalid' ? error.message : `portcullis test: ${error.message}`);
    return 2;
  }
}

function parseOptions(argv: readonly string[]): TestOptions | null {
  const { values, positionals: files } = parseFlags(argv, FLAGS, MORE, true);
  if (values.help) return null;
  const problems: string[] = [];
  const { policies, output } = values;
  if (policies === undefined) problems.push('--policies is required: the directory that holds the policies');
  if (files.length === 0) problems.push('name at least one file of cases');
  if (output !== undefined && output !== 'json') problems.push(`-o must be json, not ${JSON.stringify(output)}`);
  if (policies === undefined || problems.length > 0) {
    throw new PortcullisError('config_invalid', [...problems, MORE].join('\n'));
  }
  return { choice: choiceOf(policies, values), files, json: output === 'json' };
}

/** Of all files. Throws policy_invalid with everything that is wrong in them, one a line; config_invalid when one cannot be read. */
async function readCases(files: readonly string[]): Promise<PolicyCase[]> {
  const parsed = await Promise.all(
    files.map(async (file) => {
      try {
        return parseCases(await readPolicyFile(file));
      } catch (cause) {
        if (cause instanceof PortcullisError) throw cause;
        throw new PortcullisError('config_invalid', `cases cannot be read: ${(cause as Error).message}`, { cause });
      }
    }),
  );
  const problems = parsed.flatMap((each) => each.problems);
  if (problems.length > 0) throw new PortcullisError('policy_invalid', problems.join('\n'));
  return parsed.flatMap(({ cases }) => cases.map(withBodyFile));
}

function withBodyFile(policyCase: PolicyCase): PolicyCase {
  const { file, line, bodyFile, request } = policyCase;
  if (bodyFile === null) return policyCase;
  try {
    return { ...policyCase, request: { ...request, body: readBodyFile(join(dirname(file), bodyFile)) } };
  } catch (cause) {
    const message = `${file}:${line} bodyFile cannot be read: ${(cause as Error).message}`;
    throw new PortcullisError('policy_invalid', message, { cause });
  }
}
