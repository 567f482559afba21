import { KubeError } from '../../operator/kube/kube-client.ts';
import { SecretKeySetStore } from '../../operator/signing-keys/secret-key-set-store.ts';
import { escrowSecretName } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Escrow } from '../../policy/keys/escrow.ts';
import { runKubeCommand } from '../kube/command.ts';
import { type KubeTarget, operatorNamespace } from '../kube/connect.ts';
import { KUBE_HELP } from '../kube/kube-flag-names.ts';
import { table } from '../kube/table.ts';
import type { CommandIo } from '../token/run-token.ts';
import { DECRYPT_COMMAND, decryptWith } from './decrypt-command.ts';
import { readEscrowFile } from './escrow-file.ts';
import { decodeKeySet, findKeySet, type KeySetObject } from './find-key-set.ts';
import { type Restored, type RestoreInput, restoreKeySet, type Sighting } from './restore-key-set.ts';

const HELP = `portcullis keys restore NAME [--file FILE] [--replace] [--accept-loss] [--decrypt COMMAND]

Brings the keyring of a SigningKeySet back from its escrow. Your own gpg decrypts; nothing decrypted is written anywhere but
into the keyring. You must be allowed to read and write Secrets where the operator is. The resource must be there,
for its revocations count.

  --file FILE            the escrow Secret as kubectl get secret -o yaml printed it, alone or in a list
                         (default: the one in the cluster)
  --replace              puts it in the place of a keyring that is there
  --accept-loss          goes on though something is newer than the escrow, or a key that does not sign cannot be decrypted;
                         tokens and ciphertexts of the keys that do not come back are lost
  --decrypt COMMAND      a shell command that reads an armoured OpenPGP message and prints what is in it, once a key
                         (default: ${DECRYPT_COMMAND}); for a passphrase on this terminal: export GPG_TTY=$(tty)
${KUBE_HELP}
  --operator-namespace NS  where Portcullis is installed (default: found by its webhooks)
  --help                 this text

Exit code: 0 when the keyring was written, 2 when not; the reason is on standard error.
`;

/** The command `portcullis keys restore`: `argv` without these words. Resolves to the exit code; see HELP. */
export function runKeysRestore(argv: readonly string[], io: CommandIo): Promise<number> {
  return runKubeCommand(
    {
      name: 'keys restore',
      help: HELP,
      flags: {
        file: { type: 'string' },
        replace: { type: 'boolean' },
        'accept-loss': { type: 'boolean' },
        decrypt: { type: 'string', default: DECRYPT_COMMAND },
        'operator-namespace': { type: 'string' },
      },
      arguments: ['NAME'],
      async run(target, [name = ''], values, { stdout }) {
        const at = String(values['operator-namespace'] ?? (await operatorNamespace(target.client)));
        const command = String(values['decrypt']);
        const restored = await explained(at, async () =>
          restoreKeySet({
            ...(await found(target, at, name, values['file'])),
            decrypt: (message) => decryptWith(command, message),
            replace: values['replace'] === true,
            acceptLoss: values['accept-loss'] === true,
          }),
        );
        stdout.write(textOf(restored));
        return 0;
      },
    },
    argv,
    io,
  );
}

async function found(
  { client, namespace }: KubeTarget,
  operatorNamespace: string,
  argument: string,
  file: unknown,
): Promise<Omit<RestoreInput, 'decrypt' | 'replace' | 'acceptLoss'>> {
  const object = await findKeySet(client, namespace, argument);
  const { metadata, spec } = decodeKeySet(object);
  const { name } = metadata;
  const store = new SecretKeySetStore(client, operatorNamespace, { namespace, name });
  return {
    keySet: `${namespace}/${name}`,
    store,
    escrow: await escrowFrom(store, file, escrowSecretName(namespace, name), operatorNamespace),
    revocations: spec.revocations.map(({ kid, reason }) => ({ kid, reason: reason ?? '' })),
    status: statusOf(object),
  };
}

async function escrowFrom(
  store: SecretKeySetStore,
  file: unknown,
  secretName: string,
  operatorNamespace: string,
): Promise<Escrow> {
  if (file !== undefined) return readEscrowFile(String(file), secretName);
  const stored = await store.readEscrow();
  if (stored !== null) return stored.escrow;
  const problem = `there is no Secret ${operatorNamespace}/${secretName}; give a copy of it with --file`;
  throw new PortcullisError('config_invalid', problem);
}

function statusOf({ status }: KeySetObject): Sighting {
  return { serial: status?.serial ?? 0, kids: (status?.keys ?? []).map(({ kid }) => kid) };
}

/** RBAC speaks of resources and users; who restores keys wants to know what to ask for. */
async function explained<T>(operatorNamespace: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KubeError && error.reason === 'Forbidden')) throw error;
    const wanted = `you must be allowed to get, create and update Secrets in namespace ${operatorNamespace}, to list those of the key set's namespace and to get SigningKeySets`;
    throw new PortcullisError('config_invalid', `${wanted}; the API server says: ${error.message}`, { cause: error });
  }
}

function textOf({ keyring, lost, revoked }: Restored): string {
  const [namespace, name] = keyring.keySet.split('/');
  const rows = keyring.keys.map(({ phase, kid, algorithm }) => [`  ${phase}`, kid, algorithm]);
  const gone = [
    ...keyring.tombstones.map(({ kid, reason }) => ['  tombstone', kid, reason]),
    ...revoked.map((kid) => ['  revoked', kid, 'left out']),
  ];
  return [
    `Restored the keyring of ${keyring.keySet}, serial ${keyring.serial}:\n`,
    table([...rows, ...gone]),
    ...lost.map((line) => `  lost ${line}\n`),
    `The operator takes it up within moments; the next key waits its full time again. Wait until Ready is True:\n`,
    `  kubectl wait sks/${name} -n ${namespace} --for=condition=Ready --timeout=5m\n`,
  ].join('');
}
