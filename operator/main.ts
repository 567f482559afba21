import { readFileSync } from 'node:fs';
import { PortcullisError } from '../policy/errors.ts';
import { createLogger, openLogSink } from '../runtime/log.ts';
import { packageVersion } from '../runtime/version.ts';
import { readOperatorConfig } from './config-file.ts';
import { KubeError } from './kube/kube-client.ts';
import { loadKubeConfig } from './kube/kube-config.ts';
import { type RunningOperator, startOperator } from './start-operator.ts';

const HELP = `operator --config FILE

Reconciles SigningKeySets, AccessPolicies and RateLimitPolicies, and injects sidecars. The chart writes its configuration.

  --config FILE  the configuration, YAML; POD_NAMESPACE and POD_NAME come from the downward API
  --check        reads the configuration, says what is wrong with it, and ends
  --version      the version, alone on its line
  --help         this text
`;

async function main(argv: readonly string[]): Promise<number | null> {
  if (argv.includes('--version')) {
    process.stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  const [flag, file, ...rest] = argv.filter((argument) => argument !== '--check');
  if (flag !== '--config' || file === undefined || rest.length > 0) {
    const asked = flag === '--help' || flag === '-h';
    (asked ? process.stdout : process.stderr).write(HELP);
    return asked ? 0 : 2;
  }
  const config = readOperatorConfig(readFileSync(file, 'utf8'), process.env);
  if (argv.includes('--check')) return 0;

  const sink = openLogSink();
  const log = createLogger(sink, 'operator');
  const exit = (code: number): never => {
    sink.close();
    process.exit(code);
  };
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught');
    exit(1);
  });
  let operator: RunningOperator | null = null;
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) exit(1);
    stopping = true;
    await operator?.stop();
    exit(0);
  };
  // Before the start, which may take long: the first process of a container ignores what it does not listen to.
  process.on('SIGTERM', () => void stop());
  process.on('SIGINT', () => void stop());
  operator = await startOperator(config, { kubeConfig: loadKubeConfig(), log, onLost: () => exit(1) });
  return null;
}

try {
  const code = await main(process.argv.slice(2));
  if (code !== null) process.exitCode = code;
} catch (error) {
  const text =
    error instanceof PortcullisError || error instanceof KubeError ? error.message : String((error as Error).stack);
  process.stderr.write(`operator: ${text}\n`);
  process.exit(1);
}
