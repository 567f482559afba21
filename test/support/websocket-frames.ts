/** For tests: one frame as RFC 6455 §5.2 draws it, masked as a client does it. `form`: bits of its length, the fewest by default. */
export function clientFrame(
  opcode: number,
  payload: Buffer,
  {
    fin = true,
    rsv1 = false,
    form = 0,
  }: { readonly fin?: boolean; readonly rsv1?: boolean; readonly form?: 0 | 7 | 16 | 64 } = {},
): Buffer {
  const { length } = payload;
  const bits = form === 0 ? (length < 126 ? 7 : length < 65_536 ? 16 : 64) : form;
  const first = (fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode;
  const head = Buffer.alloc(bits === 7 ? 2 : bits === 16 ? 4 : 10);
  head[0] = first;
  head[1] = 0x80 | (bits === 7 ? length : bits === 16 ? 126 : 127);
  if (bits === 16) head.writeUInt16BE(length, 2);
  if (bits === 64) head.writeBigUInt64BE(BigInt(length), 2);
  const mask = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  const masked = Buffer.from(payload.map((byte, i) => byte ^ (mask[i % 4] as number)));
  return Buffer.concat([head, mask, masked]);
}

/** The status code of the close frame at the end of a stream, masked or not; undefined: it does not end in one. */
export function closeCode(stream: Buffer): number | undefined {
  const masked = stream.at(-8) === 0x88 && stream.at(-7) === 0x82;
  if (masked) return stream.readUInt16BE(stream.length - 2) ^ stream.readUInt16BE(stream.length - 6);
  return stream.at(-4) === 0x88 && stream.at(-3) === 0x02 ? stream.readUInt16BE(stream.length - 2) : undefined;
}
