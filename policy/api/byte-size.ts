/** The regular expression of a size: bytes, or kibibytes and mebibytes as Kubernetes writes quantities. */
export const BYTE_SIZE_PATTERN = '^[1-9][0-9]{0,8}(Ki|Mi)?$';

const UNITS: Readonly<Record<string, number>> = { '': 1, Ki: 1024, Mi: 1024 ** 2 };

/** Bytes of `64Ki`, `1Mi` or `512`; undefined: it is no size. */
export function parseByteSize(text: string): number | undefined {
  if (!new RegExp(BYTE_SIZE_PATTERN).test(text)) return undefined;
  return Number.parseInt(text, 10) * (UNITS[text.replace(/\d+/, '')] ?? 0);
}
