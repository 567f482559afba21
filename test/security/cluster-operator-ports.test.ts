import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { HealthServer } from '../../operator/health-server.ts';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { makeAuthority, makeLeaf } from '../../operator/injection/certificates-x509.ts';
import { MAX_HELD_BYTES } from '../../operator/injection/webhook-body.ts';
import { WebhookServer } from '../../operator/injection/webhook-server.ts';

// Any pod of the cluster reaches the operator's two ports. Attacks come from 127.0.0.1; the kubelet and the API server, from 127.0.0.2.

const HONEST = '127.0.0.2';

/** Connections that are opened and never used, until the test ends. */
async function idle(t: TestContext, port: number, count: number): Promise<void> {
  const sockets = Array.from({ length: count }, (): Socket => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  await Promise.all(
    sockets.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {})),
  );
  await sleep(300); // what was too many is closed by now
}

test('idle connections do not keep the kubelet from the health port', async (t) => {
  const server = new HealthServer({ registry: new Registry(), notReady: () => [] });
  const port = await server.listen(0);
  t.after(() => server.stop());
  const probe = () =>
    new Promise<number | undefined>((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: '/healthz', localAddress: HONEST, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });
  assert.equal(await probe(), 200);
  await idle(t, port, 600);
  assert.equal(await probe(), 200);
});

const review = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'shop',
    object: {},
  },
});

async function webhooks() {
  const server = new WebhookServer({
    handlers: { '/allow': () => ({ allowed: true }) },
    registry: new Registry(),
    log: pino({ level: 'silent' }),
  });
  const authority = await makeAuthority(Date.now(), CERTIFICATE_TIMES);
  server.use(await makeLeaf(authority, ['webhooks'], Date.now(), CERTIFICATE_TIMES));
  const { port } = await server.listen('127.0.0.1', 0);
  const ca = authority.certificate;
  const asks = () =>
    new Promise<boolean>((resolve, reject) => {
      const headers = { 'content-length': review.length };
      const to = { host: '127.0.0.1', port, servername: 'webhooks', ca, localAddress: HONEST, agent: false };
      httpsRequest({ ...to, method: 'POST', path: '/allow', headers }, async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve(JSON.parse(text).response.allowed);
      })
        .on('error', reject)
        .end(review);
    });
  return { server, port, ca, asks };
}

test('idle connections do not keep the API server from the webhooks', async (t) => {
  const { server, port, asks } = await webhooks();
  t.after(() => server.stop());
  assert.equal(await asks(), true);
  await idle(t, port, 1_100);
  assert.equal(await asks(), true);
});

test('large reviews that are announced and never sent do not keep pods out', async (t) => {
  const { server, port, ca, asks } = await webhooks();
  t.after(() => server.stop());
  const head = `POST /allow HTTP/1.1\r\nHost: webhooks\r\nContent-Length: ${MAX_HELD_BYTES / 16}\r\n\r\n`;
  for (let i = 0; i < 16; i++) {
    const socket = connectTls({ host: '127.0.0.1', port, servername: 'webhooks', ca });
    socket.on('error', () => {}).write(head);
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
  }
  await sleep(100);
  assert.equal(await asks(), true);
});
