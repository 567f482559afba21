import { PortcullisError } from '../../policy/errors.ts';
import { explain } from '../../sidecar/explain/explain.ts';
import { renderExplanation } from '../../sidecar/explain/explanation.ts';
import type { CommandIo } from '../token/run-token.ts';
import { EXPLAIN_HELP } from './explain-help.ts';
import { parseExplainOptions } from './explain-options.ts';
import { loadPolicies } from './load-policies.ts';

/**
 * The command `portcullis explain`: by the policies of a directory when --policies names one (or --request asks for it), else by
 * those of a pod. Resolves to its exit code; see EXPLAIN_HELP.
 */
export async function runExplain(argv: readonly string[], io: CommandIo): Promise<number> {
  if (argv.some((argument) => /^--(policies|request)(=|$)/.test(argument))) return explainLocally(argv, io);
  // Loaded when used: the client of a cluster takes longer to load than a request to explain.
  const { runExplain: explainInPod } = await import('../kube/run-explain.ts');
  return explainInPod(argv, io);
}

async function explainLocally(argv: readonly string[], io: CommandIo): Promise<number> {
  const say = (line: string) => void io.stderr.write(`${line}\n`);
  try {
    const options = parseExplainOptions(argv);
    if (options === null) {
      io.stdout.write(EXPLAIN_HELP);
      return 0;
    }
    const policies = await loadPolicies(options.choice, say);
    const explanation = await explain(policies, options.request, options.at ?? io.now());
    io.stdout.write(options.json ? `${JSON.stringify(explanation)}\n` : renderExplanation(explanation));
    return explanation.code === null ? 0 : 1;
  } catch (error) {
    if (!(error instanceof PortcullisError)) throw error;
    say(error.code === 'policy_invalid' ? error.message : `portcullis explain: ${error.message}`);
    return 2;
  }
}
