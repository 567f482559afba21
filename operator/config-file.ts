import Type, { type Static } from 'typebox';
import { parse } from 'yaml';
import { checkField } from '../policy/api/check-field.ts';
import { clientIP } from '../policy/api/common-fields.ts';
import { fieldOf, oneOf, text } from '../policy/api/field.ts';
import { formatPath, type Problem } from '../policy/api/problem.ts';
import { matches } from '../policy/api/rule.ts';
import { PortcullisError } from '../policy/errors.ts';
import { CAPTURES, type OperatorConfig } from './config.ts';

const port = (description: string) => Type.Integer({ minimum: 1, maximum: 65_535, description });
const objectName = (description: string) => text({ description, maxLength: 253 });
const quantities = (description: string) => {
  const quantity = (name: string) =>
    Type.Optional(text({ description: `${name}, as a Kubernetes quantity.`, maxLength: 32 }));
  return Type.Object({ cpu: quantity('Processor'), memory: quantity('Memory') }, { description, default: {} });
};

const baseUrl = matches(
  '^https?://[A-Za-z0-9._:\\[\\]-]+(/[A-Za-z0-9._~-]+)*$',
  'write an http or https URL without a slash at the end, such as https://keys.example.com',
);

const sidecar = Type.Object(
  {
    image: text({ description: "The sidecar's image.", maxLength: 512 }),
    imagePullPolicy: oneOf(['Always', 'IfNotPresent', 'Never'], { description: 'As in a container.' }),
    resources: Type.Object(
      { requests: quantities('What the scheduler sets aside.'), limits: quantities('What it may use.') },
      { description: 'Resources of every injected container.' },
    ),
    trafficPort: port('First port for traffic.'),
    adminPort: port('Port of /healthz, /readyz, /metrics and /status.'),
    egressPort: port('Port of egress, on the loopback.'),
    userId: Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'User that the sidecar runs as.' }),
    appSleepSeconds: Type.Integer({
      minimum: 0,
      maximum: 120,
      description: 'Sleep of app containers without a preStop hook.',
    }),
  },
  { description: 'What injected containers are made from.' },
);

const configFile = Type.Object(
  {
    sidecar,
    defaults: Type.Object(
      {
        capture: oneOf(CAPTURES, { description: 'How traffic gets to the sidecar unless annotated.' }),
        storeSecret: Type.Optional(objectName('Secret with the URL of the Redis of policies that name none.')),
        clientIP,
      },
      { description: 'What policies and annotations may leave out.' },
    ),
    webhook: Type.Object(
      {
        port: port('Where the API server is answered.'),
        serviceName: objectName('The Service that the API server calls.'),
        mutatingConfiguration: objectName('The MutatingWebhookConfiguration.'),
        validatingConfiguration: objectName('The ValidatingWebhookConfiguration.'),
        certificates: oneOf(['Own', 'CertManager'], { description: 'Who makes the certificates.' }),
        certificateSecret: objectName('The Secret that holds them.'),
      },
      { description: 'Admission webhooks.' },
    ),
    healthPort: port('Port of /healthz, /readyz and /metrics.'),
    jwks: Type.Optional(
      Type.Object(
        {
          port: port('Port of /jwks.'),
          externalUrl: Type.Optional(
            text({ description: 'Where the world reaches it.', maxLength: 512, rules: [baseUrl] }),
          ),
        },
        { description: 'Public keys for verifiers outside the cluster.' },
      ),
    ),
    leaseName: objectName('The Lease by which one replica leads.'),
    podPatchesPerSecond: Type.Integer({ minimum: 1, maximum: 5_000, description: 'Most patches of pods a second.' }),
    evictUnprotected: Type.Boolean({ description: 'Whether unprotected pods younger than a minute are evicted.' }),
  },
  { description: "The operator's configuration." },
);

/**
 * Reads the file that the chart writes (YAML), with the pod's own name and namespace from the downward API. Throws
 * config_invalid with every problem, one a line.
 */
export function readOperatorConfig(content: string, env: Readonly<Record<string, string | undefined>>): OperatorConfig {
  const problems: Problem[] = [];
  let document: unknown;
  try {
    document = parse(content);
  } catch (cause) {
    throw new PortcullisError('config_invalid', `not YAML: ${(cause as Error).message}`, { cause });
  }
  const checked = checkField(fieldOf(configFile), document, [], problems);
  for (const name of ['POD_NAMESPACE', 'POD_NAME']) {
    if (!env[name]) problems.push({ path: [name], message: 'is not set; take it from the downward API' });
  }
  if (problems.length > 0) {
    const lines = problems.map(({ path, message }) => `${formatPath(path)}: ${message}`);
    throw new PortcullisError('config_invalid', lines.join('\n'));
  }
  const { defaults, sidecar: template, jwks, ...rest } = checked.value as Static<typeof configFile>;
  return {
    ...rest,
    namespace: env['POD_NAMESPACE']!,
    podName: env['POD_NAME']!,
    jwks: jwks === undefined ? null : { port: jwks.port, externalUrl: jwks.externalUrl ?? null },
    sidecar: { ...template, resources: template.resources as OperatorConfig['sidecar']['resources'] },
    defaults: { capture: defaults.capture, storeSecret: defaults.storeSecret ?? null, clientIp: defaults.clientIP },
  };
}
