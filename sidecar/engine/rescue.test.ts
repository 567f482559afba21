import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { describe, it } from 'node:test';
import { type Cause, problemBody, RESCUE } from './rescue.ts';

const causes = Object.keys(RESCUE) as Cause[];

describe('RESCUE', () => {
  it('docs/errors.md has a line for each code, with its status, and no other', () => {
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
    const documented = new Map<string, number>();
    for (const [, code = '', status] of page.matchAll(/^\| `(\w+)` \| (\d{3}) \| \S[^|]* \| \S[^|]* \|$/gm)) {
      assert.ok(!documented.has(code), `${code} stands there twice`);
      documented.set(code, Number(status));
    }
    assert.deepEqual(
      Object.fromEntries([...documented].sort()),
      Object.fromEntries(causes.map((cause) => [cause, RESCUE[cause].status] as const).sort()),
    );
  });

  for (const cause of causes) {
    it(`${cause}: a problem document of RFC 9457`, () => {
      const problem = JSON.parse(problemBody(cause, 'id-1'));
      assert.deepEqual(Object.keys(problem), ['type', 'title', 'status', 'detail', 'code', 'requestId']);
      assert.deepEqual([problem.code, problem.requestId], [cause, 'id-1']);
      assert.equal(problem.title, STATUS_CODES[RESCUE[cause].status]?.replace('Payload', 'Content'));
      assert.ok(problem.type.endsWith(`#${cause}`));
    });
  }
});
