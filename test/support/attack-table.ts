import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Message } from './http-messages.ts';
import { type RawAnswer, send } from './raw-http.ts';
import { type PolicyUnderTest, type SidecarUnderTest, startSidecarUnderTest } from './sidecar-under-test.ts';

/** Exact bytes of a request, one character a byte; a function when it needs the sidecar (for a token). */
export type RequestBytes = string | ((sut: SidecarUnderTest) => string);

/** One thing an attacker tries, and the honest request that differs from it as little as possible. */
export interface Attack {
  readonly name: string;
  readonly attack: RequestBytes;
  /** The answer that the attack must get. */
  readonly status: number;
  /** Passes: 200 and one request upstream. */
  readonly honest: RequestBytes;
  /** What else must hold of the honest request as it was forwarded. */
  readonly forwarded?: (request: Message) => void;
  /** The connection stays open: a refusal by policy, not by protocol. Default false. */
  readonly keepsConnection?: boolean;
}

/** Runs a table of attacks, one test each, against one sidecar with this policy. */
export function describeAttacks(title: string, policy: PolicyUnderTest, attacks: readonly Attack[]): void {
  describeWithSidecar(title, policy, (sut) => {
    for (const { name, attack, status, honest, forwarded, keepsConnection } of attacks) {
      it(`${name}: ${status}`, async () => {
        sut().upstream.clear();
        const refused = await send(sut().port, bytesOf(attack, sut()), { untilClosed: keepsConnection !== true });
        assert.equal(refused.status, status, `attack: ${describeAnswer(refused)}`);
        assert.equal(refused.responses.length, 1, 'one answer and no more');
        if (keepsConnection !== true) assert.ok(refused.closed, 'the connection is closed');
        assert.deepEqual(requestLines(sut()), [], 'nothing reached the application');

        const passed = await send(sut().port, bytesOf(honest, sut()));
        assert.equal(passed.status, 200, `honest twin: ${describeAnswer(passed)}`);
        assert.equal(sut().upstream.requests.length, 1, `honest twin upstream: ${requestLines(sut()).join(' | ')}`);
        forwarded?.(sut().upstream.requests[0] as Message);
      });
    }
  });
}

/** A suite around one sidecar, started before its tests and stopped after them. */
export function describeWithSidecar(
  title: string,
  policy: PolicyUnderTest,
  tests: (sut: () => SidecarUnderTest) => void,
): void {
  describe(title, () => {
    let sut: SidecarUnderTest | undefined;
    before(async () => {
      sut = await startSidecarUnderTest(policy);
    });
    after(() => sut?.stop());
    tests(() => {
      assert.ok(sut, 'the sidecar did not start');
      return sut;
    });
  });
}

/** A request of these lines, without body, CRLF after each. */
export function request(...lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Request lines that reached the application. */
export function requestLines(sut: SidecarUnderTest): readonly string[] {
  return sut.upstream.requests.map((message) => message.startLine);
}

/** An answer in one line, for messages of failing tests. */
export function describeAnswer(answer: RawAnswer): string {
  return `${answer.status} ${answer.body.trim()}${answer.closed ? ' (closed)' : ''}${answer.rest === '' ? '' : ` rest ${JSON.stringify(answer.rest)}`}`;
}

function bytesOf(bytes: RequestBytes, sut: SidecarUnderTest): string {
  return typeof bytes === 'string' ? bytes : bytes(sut);
}
