import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiServer } from '../cluster/api-server.ts';

const PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** The kind Certificate as cert-manager 1.19 has it, as much as is written here; its controller is the test. */
const CRD = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'certificates.cert-manager.io' },
  spec: {
    group: 'cert-manager.io',
    names: { kind: 'Certificate', plural: 'certificates', singular: 'certificate', listKind: 'CertificateList' },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['issuerRef', 'secretName'],
                properties: {
                  secretName: { type: 'string' },
                  commonName: { type: 'string' },
                  isCA: { type: 'boolean' },
                  revisionHistoryLimit: { type: 'integer', default: 1 },
                  dnsNames: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'atomic' },
                  issuerRef: {
                    type: 'object',
                    required: ['name'],
                    properties: {
                      name: { type: 'string' },
                      kind: { type: 'string' },
                      group: { type: 'string' },
                    },
                  },
                  usages: {
                    type: 'array',
                    items: { type: 'string', enum: ['digital signature', 'server auth', 'client auth', 'cert sign'] },
                    'x-kubernetes-list-type': 'atomic',
                  },
                  privateKey: {
                    type: 'object',
                    properties: {
                      algorithm: { type: 'string', enum: ['RSA', 'ECDSA', 'Ed25519'] },
                      size: { type: 'integer' },
                      rotationPolicy: { type: 'string', enum: ['Never', 'Always'], default: 'Always' },
                      encoding: { type: 'string', enum: ['PKCS1', 'PKCS8'] },
                    },
                  },
                  secretTemplate: {
                    type: 'object',
                    properties: { labels: { type: 'object', additionalProperties: { type: 'string' } } },
                  },
                },
              },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      },
    ],
  },
};

/** Creates it and waits until it is served. */
export async function installCertManagerCrd(server: ApiServer): Promise<void> {
  const { status, body } = await server.request('POST', `${PATH}?fieldValidation=Strict`, CRD);
  assert.equal(status, 201, JSON.stringify(body).slice(0, 2000));
  const served = async () => (await server.request('GET', '/apis/cert-manager.io/v1/certificates')).status === 200;
  for (const deadline = performance.now() + 15_000; !(await served()); await sleep(50)) {
    assert.ok(performance.now() < deadline, 'waited for 15 s');
  }
}
