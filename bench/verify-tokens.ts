import { importJWK, jwtVerify } from 'jose';
import { JWT_ALGORITHMS, type JwtAlgorithm } from '../policy/bundle/types.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../sidecar/tokens/testing/token-fixtures.ts';
import { createTokenVerifier } from '../sidecar/tokens/verifier.ts';
import { describeMachine, machineText } from './machine.ts';
import { minAndMedian, ratio, renderTable } from './report.ts';

const TOKENS = 500;
const ROUNDS = 9;

/** Verifies each of `tokens` once and throws when one does not hold. */
type Run = (tokens: readonly string[], now: number) => Promise<void>;

interface Case {
  readonly algorithm: JwtAlgorithm;
  readonly tokens: readonly string[];
  readonly runs: { readonly ours: Run; readonly jose: Run };
  readonly microseconds: { readonly ours: number[]; readonly jose: number[] };
}

/** Keys are new and every token is seen once: what a sidecar's cache saves is not in these numbers. */
async function prepare(algorithm: JwtAlgorithm, now: number): Promise<Case> {
  const key = makeTestKey(algorithm, algorithm);
  const tokens = Array.from({ length: TOKENS }, (_, at) => mintToken(key, validClaims(now, { sub: `user${at}` })));
  const authenticator = testAuthenticator([key]);
  const { issuer, audiences, clockSkewMs, maxTokenLifetimeMs, requiredClaims } = authenticator;
  const joseKey = await importJWK({ ...key.verification.jwk }, algorithm);
  return {
    algorithm,
    tokens,
    runs: {
      async ours(all, at) {
        const verifier = createTokenVerifier([authenticator]);
        for (const token of all) {
          if (typeof (await verifier.verify(token, at)) === 'string') throw new Error(`${algorithm}: refused by us`);
        }
      },
      async jose(all, at) {
        const options = {
          algorithms: [algorithm],
          issuer,
          audience: [...audiences],
          clockTolerance: clockSkewMs / 1_000,
          maxTokenAge: maxTokenLifetimeMs / 1_000,
          requiredClaims: [...requiredClaims],
          currentDate: new Date(at),
        };
        for (const token of all) await jwtVerify(token, joseKey, options);
      },
    },
    microseconds: { ours: [], jose: [] },
  };
}

/** User and system time of all threads in µs a token. */
async function measure(run: Run, tokens: readonly string[], now: number): Promise<number> {
  const before = process.cpuUsage();
  await run(tokens, now);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / tokens.length;
}

const now = Date.now();
const machine = machineText(describeMachine(null));
const cases = await Promise.all(JWT_ALGORITHMS.map((algorithm) => prepare(algorithm, now)));
for (let round = 0; round <= ROUNDS; round++) {
  for (const { runs, tokens, microseconds } of cases) {
    const found = [await measure(runs.ours, tokens, now), await measure(runs.jose, tokens, now)] as const;
    if (round === 0) continue; // the JIT's
    microseconds.ours.push(found[0]);
    microseconds.jose.push(found[1]);
  }
}
const rows = cases.map(({ algorithm, microseconds }) => {
  const [ours, jose] = [minAndMedian(microseconds.ours), minAndMedian(microseconds.jose)];
  const figures = [ours.min, ours.median, jose.min, jose.median].map((figure) => figure.toFixed(1));
  return [algorithm, ...figures, ratio(ours.min, jose.min)];
});
const table = renderTable({
  title: 'Verifying a new token',
  caption: `CPU of all threads in µs a token, ${TOKENS} tokens one after another, ${ROUNDS} rounds; the ratio is of the minima.`,
  columns: ['algorithm', 'µs min', 'µs median', 'jose µs min', 'jose µs median', 'ratio to jose'],
  rows,
});
process.stdout.write(`${machine}\n\n${table}`);
