/** How long to wait after so many failures in a row (1: the first), doubling from `firstMs` up to `mostMs`. */
export function backoffMs(failures: number, firstMs: number, mostMs: number): number {
  return Math.min(mostMs, firstMs * 2 ** (failures - 1));
}
