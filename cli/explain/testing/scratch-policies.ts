import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** For tests: policies that can refuse in every layer; tokens stand in a header or, by the policy `browser`, in a cookie. */
export const EVERY_LAYER = `
apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: { name: keys }
spec: { algorithm: HS256, issuer: "https://issuer.example", audiences: [api], maxTokenLifetime: 1h }
---
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: { name: api }
spec:
  authentication: { jwt: [{ name: keys, keySetRef: { name: keys } }] }
  tokens: { keySetRef: { name: keys }, jwksPath: /jwks }
  identity: { user: [/sub], roles: [/roles], tenant: [/tenant] }
  roles: [{ name: trader, permissions: ["orders:write"] }]
  cors: { origins: ["https://app.example"], methods: [POST] }
  rules:
  - { name: open, match: { paths: [/open], hosts: [api.example] }, allow: [{ anonymous: true }] }
  - { name: orders, match: { paths: [/orders], methods: [POST] }, allow: [{ permissions: ["orders:write"] }] }
  - { name: desk, match: { paths: [/desk] }, allow: [{ when: 'claims.desk == "fx"' }] }
  - { name: late, match: { paths: [/late] }, allow: [{ when: 'now > timestamp("2030-01-01T00:00:00Z")' }] }
  - { name: near, match: { paths: [/near] }, allow: [{ when: 'source.ip == "10.0.0.1"' }] }
  - { name: tenant, match: { paths: ["/tenants/{id}"] }, tenant: { from: path.id }, allow: [{ authenticated: true }] }
  - { name: hours, match: { paths: [/hours] }, schedule: { open: [Mon-Fri 09:00-17:00] }, allow: [{ anonymous: true }] }
  - name: notes
    match: { paths: [/notes], methods: [POST] }
    allow: [{ anonymous: true }]
    body: { maxBytes: "64", schema: { type: object, required: [text], properties: { text: { type: string } } } }
---
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: { name: browser }
spec:
  mode: Shadow
  authentication: { jwt: [{ name: keys, keySetRef: { name: keys }, from: [{ cookie: session }] }] }
  identity: { user: [/sub] }
  rules:
  - { name: orders, match: { paths: [/orders] }, allow: [{ authenticated: true }] }
---
apiVersion: portcullis.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: slow }
spec:
  limits: [{ name: one, key: [ip], rate: 1/1h }]
`;

/** For tests: a directory with these files, removed when the tests are over. */
export function scratchDirectory(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-policies-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  after(() => rmSync(directory, { recursive: true }));
  return directory;
}
