const NOT_OURS = {
  key: 'kubernetes.io/metadata.name',
  operator: 'NotIn',
  values: ['kube-system', 'portcullis-system'],
};
const PODS = [
  { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' },
];

const ASKS = "object.metadata.?annotations['portcullis.dev/access-policy'].orValue('') != ''";

/** The chart's webhook configurations as far as they decide who is asked what, but by URL: no pod runs behind a Service here. */
export function webhookConfigurations(origin: string): object[] {
  const webhook = (name: string, path: string, rest: object) => ({
    name: `${name}.portcullis.dev`,
    admissionReviewVersions: ['v1'],
    failurePolicy: 'Fail',
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds: 5,
    clientConfig: { url: `${origin}${path}` },
    ...rest,
  });
  const guarded = (operator: string) => ({ key: 'portcullis.dev/guarded', operator, values: ['true'] });
  const changes = { apiVersions: ['*'], operations: ['CREATE', 'UPDATE'], scope: 'Namespaced' };
  return [
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'portcullis-mutating' },
      webhooks: [
        webhook('guarded.pods', '/mutate-pods', {
          namespaceSelector: { matchExpressions: [NOT_OURS, guarded('In')] },
          rules: PODS,
        }),
        webhook('annotated.pods', '/mutate-pods', {
          namespaceSelector: { matchExpressions: [NOT_OURS, guarded('NotIn')] },
          matchConditions: [{ name: 'asks', expression: ASKS }],
          rules: PODS,
        }),
      ],
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'portcullis-validating' },
      webhooks: [
        webhook('services', '/services', {
          namespaceSelector: { matchExpressions: [NOT_OURS] },
          matchConditions: [{ name: 'asks', expression: ASKS }],
          rules: [{ ...changes, apiGroups: [''], resources: ['services'] }],
        }),
        webhook('policies', '/validate', {
          rules: [{ ...changes, apiGroups: ['portcullis.dev'], resources: ['*'] }],
        }),
      ],
    },
  ];
}
