import { usage } from '../kube/command.ts';

/** Whether `-o` asks for JSON. Throws `config_invalid` when it asks for anything else. */
export function isJson(output: unknown): boolean {
  if (output === undefined || output === 'json') return output === 'json';
  throw usage(`-o must be json, not ${JSON.stringify(output)}`);
}
