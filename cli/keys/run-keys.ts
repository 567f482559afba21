import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { runKubeCommand, usage } from '../kube/command.ts';
import { KUBE_HELP } from '../kube/kube-flag-names.ts';
import type { CommandIo } from '../token/run-token.ts';
import { findKeySet } from './find-key-set.ts';
import { keySetReport } from './key-set-report.ts';
import { detailText, listText } from './key-set-text.ts';
import { isJson } from './output-flag.ts';

const HELP = `portcullis keys [NAME] [-o json]
portcullis keys restore NAME [FLAGS]

Which key of each SigningKeySet signs now, which is next and when; with NAME all its keys, and what it waits for. No Secret
is read. keys restore brings a lost keyring back from its escrow: see portcullis keys restore --help.

  -A, --all-namespaces   of all namespaces
  -o, --output FORMAT    json: a list, with NAME of one; default: text
${KUBE_HELP}
  --help                 this text

Exit code: 0 when every key set is ready and none degraded, 1 when not, 2 when it could not be found out.
`;

/** The command `portcullis keys`, `keys restore` included. Resolves to the exit code; see HELP. */
export async function runKeys(argv: readonly string[], io: CommandIo): Promise<number> {
  if (argv[0] === 'restore') return (await import('./restore.ts')).runKeysRestore(argv.slice(1), io);
  return runKubeCommand(
    {
      name: 'keys',
      help: HELP,
      flags: { output: { type: 'string', short: 'o' }, 'all-namespaces': { type: 'boolean', short: 'A' } },
      arguments: ['[NAME]'],
      async run({ client, namespace }, [name], values, { stdout, now }) {
        const json = isJson(values['output']);
        const everywhere = values['all-namespaces'] === true;
        if (everywhere && name !== undefined) throw usage('NAME is of one namespace; leave it or --all-namespaces out');
        const objects =
          name === undefined
            ? (await client.list(SIGNING_KEY_SETS, everywhere ? {} : { namespace })).items
            : [await findKeySet(client, namespace, name)];
        const reports = objects.map(keySetReport);
        if (json) stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
        else if (name !== undefined) stdout.write(reports.map((report) => detailText(report, now())).join(''));
        else if (reports.length > 0) stdout.write(listText(reports, everywhere, now()));
        else stdout.write(`No SigningKeySet in ${everywhere ? 'any namespace' : `namespace ${namespace}`}.\n`);
        return reports.every(({ ready, degraded }) => ready && !degraded) ? 0 : 1;
      },
    },
    argv,
    io,
  );
}
