import assert from 'node:assert/strict';
import { createPublicKey, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { decodeBundle } from '../../policy/bundle/decode.ts';
import { BUNDLE_FORMAT, signedBytes } from '../../policy/bundle/format.ts';
import { exampleAccessBundle, testPrivateKey } from '../../policy/bundle/testing/example-bundles.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { mutateDocument, mutateText } from './mutate.ts';
import type { Target } from './target.ts';

const KEY = testPrivateKey(1);
const { kind, namespace, name } = exampleAccessBundle;
const EXPECTED = { publicKey: createPublicKey(KEY), kind: 'Access', namespace, name, afterSerial: 0 } as const;
const NAMES = ['kind', 'mode', 'rules', 'serial', 'tokens', 'body', 'allow', 'x', '__proto__'];
const VALUES = [
  null,
  true,
  0,
  -1,
  1.5,
  1e21,
  '',
  'x',
  'Access',
  'Shadow',
  [],
  {},
  [[]],
  { name: 'x' },
  'x'.repeat(70_000),
];
const PIECES = [...'{}[],:"\\\n0 ', '"serial":9', '\0'];

function signed(document: string, serial: number): Buffer {
  const packed = gzipSync(document, { level: 1 });
  const header = { kind, namespace, name, serial };
  const signature = sign(null, signedBytes(header, packed), KEY).toString('base64');
  return Buffer.concat([Buffer.from(`${JSON.stringify({ format: BUNDLE_FORMAT, ...header, signature })}\n`), packed]);
}

/** Bundle files: documents that our key signed, whatever they say, and files that somebody changed. Refused by a code, or equal. */
export const bundles: Target = {
  next: (random) => {
    const document = structuredClone(exampleAccessBundle);
    if (random(3) > 0) mutateDocument(document, NAMES, VALUES, PIECES, 2, random);
    let text = JSON.stringify(document);
    if (random(8) === 0) text = mutateText(text, PIECES, 1, random);
    const file = signed(text, exampleAccessBundle.serial).toString('latin1');
    return random(3) === 0 ? mutateText(file, PIECES, 1, random) : file;
  },

  check: (file) => {
    try {
      const bundle = decodeBundle(Buffer.from(file, 'latin1'), EXPECTED);
      assert.deepEqual([bundle.kind, bundle.namespace, bundle.name], [kind, namespace, name]);
      return 'decoded';
    } catch (error) {
      if (!(error instanceof PortcullisError)) throw error;
      return error.code;
    }
  },
};
