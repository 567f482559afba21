import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { PolicyUnderTest } from '../support/sidecar-under-test.ts';
import { rule, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const SWAPS = 200;
const CLIENTS = 8;

/** Even generations refuse everything, odd ones let everything in; each signs its answers twice. */
function generation(number: number): PolicyUnderTest {
  return {
    access: {
      rules: [rule(`generation-${number}`, ['/**'], number % 2 === 0 ? [{ roles: ['admin'] }] : [{ anonymous: true }])],
      securityHeaders: [
        ['x-first', String(number)],
        ['x-second', String(number)],
      ],
    },
  };
}

describe('hot reload', { timeout: 60_000 }, () => {
  it(`${SWAPS} new bundles under load: no request fails, no answer mixes two policies`, async () => {
    const sut = await startSidecarUnderTest(generation(1));
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
    const seen = new Set<number>();
    let answers = 0;
    let running = true;
    const client = async (): Promise<void> => {
      while (running) {
        const { status, first, second } = await new Promise<{ status: number; first: string; second: string }>(
          (resolve, reject) => {
            get({ port: sut.port, host: '127.0.0.1', agent }, (response) => {
              const { headers, statusCode: code = 0 } = response;
              response.on('error', reject).on('end', () => {
                resolve({ status: code, first: String(headers['x-first']), second: String(headers['x-second']) });
              });
              response.resume();
            }).on('error', reject);
          },
        );
        assert.equal(second, first);
        assert.equal(status, Number(first) % 2 === 0 ? 401 : 200, `generation ${first}`);
        seen.add(Number(first));
        answers++;
      }
    };
    const clients = Array.from({ length: CLIENTS }, client);
    for (let number = 2; number <= SWAPS + 1; number++) {
      await sut.publish(generation(number));
      await delay(2);
    }
    await delay(20);
    running = false;
    await Promise.all(clients);
    agent.destroy();
    assert.equal(sut.sidecar.status().bundles.access?.serial, SWAPS + 1);
    assert.ok(seen.has(SWAPS + 1), 'the last one is in force');
    assert.ok(seen.size > SWAPS / 2, `only ${seen.size} generations answered`);
    console.log(`  ${answers} answers by ${seen.size} policies`);
    await sut.stop();
  });

  it('a request under way keeps the policy that it began with', async () => {
    const sut = await startSidecarUnderTest(generation(1));
    let answer = (): void => {};
    sut.upstream.behave((_request, socket) => {
      answer = () => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    });
    const answered = new Promise<string>((resolve, reject) => {
      get({ port: sut.port, host: '127.0.0.1', agent: false }, (response) => {
        response.resume();
        resolve(`${response.statusCode} ${response.headers['x-first']}`);
      }).on('error', reject);
    });
    while (sut.upstream.requests.length === 0) await delay(5);
    await sut.publish(generation(2));
    answer();
    assert.equal(await answered, '200 1');
    await sut.stop();
  });
});
