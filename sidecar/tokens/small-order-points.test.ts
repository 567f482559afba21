import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { isSmallOrderPoint } from './small-order-points.ts';

/** edwards25519 (RFC 8032 §5.1): the field, the order of the base point, and d. */
const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = mod(-121665n * power(121666n, P - 2n));

type Point = readonly [x: bigint, y: bigint];

/** All eight: the multiples of one whose order is 8. */
function smallOrderPoints(): readonly Point[] {
  for (let y = 3n; ; y++) {
    const point = pointAt(y);
    if (point === null) continue;
    const small = times(L, point);
    const multiples = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((scalar) => times(scalar, small));
    if (new Set(multiples.map(String)).size === 8) return multiples;
  }
}

test('every point of small order is known, in every encoding, and node:crypto would import each', () => {
  for (const [x, y] of smallOrderPoints()) {
    for (const encodedY of y < 19n ? [y, y + P] : [y]) {
      for (const sign of x === 0n ? [0n, 1n] : [x & 1n]) {
        const encoded = encode(encodedY, sign);
        assert(isSmallOrderPoint(encoded), encoded.toString('hex'));
        const jwk = { kty: 'OKP', crv: 'Ed25519', x: encoded.toString('base64url') };
        assert.equal(createPublicKey({ key: jwk, format: 'jwk' }).asymmetricKeyType, 'ed25519');
      }
    }
  }
});

test('no other point', () => {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  for (const key of [Buffer.from(x, 'base64url'), encode(2n, 0n), encode(P + 2n, 0n), encode(3n, 1n)]) {
    assert(!isSmallOrderPoint(key));
  }
});

function mod(a: bigint): bigint {
  return ((a % P) + P) % P;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = mod(base), rest = exponent; rest > 0n; rest >>= 1n, square = mod(square * square)) {
    if (rest & 1n) result = mod(result * square);
  }
  return result;
}

/** The point with this y and either x (§5.1.3), or null when there is none. */
function pointAt(y: bigint): Point | null {
  const square = mod((y * y - 1n) * power(D * y * y + 1n, P - 2n));
  const candidate = power(square, (P + 3n) / 8n);
  const root = [candidate, mod(candidate * power(2n, (P - 1n) / 4n))].find((x) => mod(x * x) === square);
  return root === undefined ? null : [root, y];
}

function add([x1, y1]: Point, [x2, y2]: Point): Point {
  const k = mod(D * x1 * x2 * y1 * y2);
  return [mod((x1 * y2 + x2 * y1) * power(1n + k, P - 2n)), mod((y1 * y2 + x1 * x2) * power(1n - k, P - 2n))];
}

function times(scalar: bigint, point: Point): Point {
  let sum: Point = [0n, 1n];
  for (let double = point, rest = scalar; rest > 0n; rest >>= 1n, double = add(double, double)) {
    if (rest & 1n) sum = add(sum, double);
  }
  return sum;
}

function encode(y: bigint, sign: bigint): Buffer {
  return Buffer.from((y | (sign << 255n)).toString(16).padStart(64, '0'), 'hex').reverse();
}
