import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type LocalOptions, parseLocalOptions } from '../../cli/local/local-options.ts';
import { type RunningLocal, startLocal } from '../../cli/local/start-local.ts';
import { startMessage } from '../../cli/local/start-message.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { SILENT_SINK } from '../../runtime/log.ts';
import { send } from '../support/raw-http.ts';
import { type RecordingUpstream, recordingUpstream } from '../support/recording-upstream.ts';

const policy = (name: string, method: string): string =>
  `apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: { name: ${name} }
spec: { rules: [{ name: ${name}-rule, match: { paths: ["/**"], methods: [${method}] }, allow: [{ anonymous: true }] }] }
`;

describe('candidates in local mode', { timeout: 60_000 }, () => {
  let directory: string;
  let upstream: RecordingUpstream;
  let local: RunningLocal;
  let options: LocalOptions;
  const said: string[] = [];
  const optionsOf = (...more: string[]): LocalOptions => {
    const free = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--state', join(directory, '.state')];
    const argv = ['--policies', directory, '--upstream', `http://127.0.0.1:${upstream.port}`, ...free, ...more];
    return parseLocalOptions(argv)!;
  };
  const host = { sink: SILENT_SINK, say: (line: string) => void said.push(line), now: Date.now, version: 'test' };
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'portcullis-candidates-'));
    upstream = await recordingUpstream();
    await writeFile(join(directory, 'live.yaml'), policy('live', 'GET'));
    await writeFile(join(directory, 'next.yaml'), policy('next', 'POST'));
    options = optionsOf('--access-policy', 'live', '--candidate-access-policy', 'next');
    local = await startLocal(options, host);
  });
  after(async () => {
    await local?.stop();
    await upstream.close();
    await rm(directory, { recursive: true });
  });

  const differences = async (): Promise<number> => {
    const { status } = await send(local.sidecar.traffic[0]!.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(status, 200);
    const request = 'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const { body } = await send(local.sidecar.admin.port, request, { untilClosed: true });
    return Number(
      /^portcullis_candidate_differences_total\{kind="access",live_rule="live-rule",live="allow",candidate_rule="none",candidate="token_missing"\} (\d+)$/m.exec(
        body,
      )?.[1] ?? 0,
    );
  };

  it('are tried beside the live policy, and followed when their file changes', async () => {
    assert.equal(await differences(), 1);
    await writeFile(join(directory, 'next.yaml'), policy('next', 'GET'));
    while ((local.sidecar.status().bundles.candidateAccess?.serial ?? 0) < 3) await new Promise(setImmediate);
    assert.equal(await differences(), 1);
  });

  it('are told of at the start', () => {
    const message = startMessage(local, options);
    assert.match(message, /AccessPolicy default\/live, 1 rule \(Enforce\)$/m);
    assert.match(message, /^ +candidate AccessPolicy default\/next is tried, and changes nothing$/m);
  });

  it('must exist', async () => {
    const missing = optionsOf('--access-policy', 'live', '--candidate-access-policy', 'nxt');
    await assert.rejects(startLocal(missing, host), (error) => {
      assert.ok(error instanceof PortcullisError);
      assert.match(error.message, /there is no AccessPolicy nxt; there are default\/live, default\/next/);
      return true;
    });
  });
});
