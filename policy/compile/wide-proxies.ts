/** Blocks that clusters give to pods and nodes (RFC 1918, RFC 6598, RFC 4193), with the bits that tell them. */
const CLUSTER_BLOCKS = [
  { holds: /^10\./, bits: 8 },
  { holds: /^172\.(1[6-9]|2\d|3[01])\./, bits: 12 },
  { holds: /^192\.168\./, bits: 16 },
  { holds: /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./, bits: 10 },
  { holds: /^f[cd]/i, bits: 8 },
];

/** What is wrong with trusting a range (CIDR) of proxies, in words; null: nothing that shows by itself. */
export function tooWide(range: string): string | null {
  const [address = '', prefix = ''] = range.split('/');
  const bits = Number(prefix);
  const remedy = 'write the ranges of your proxies';
  if (bits === 0) return `${range} is every address, so that any client may say what its address is; ${remedy}`;
  const least = address.includes(':') ? 7 : 8;
  const isWhole = CLUSTER_BLOCKS.some((block) => block.holds.test(address) && bits <= block.bits);
  if (!isWhole && bits >= least) return null;
  return `${range} holds the pods of most clusters, so that any pod may say what its address is; ${remedy} alone`;
}
