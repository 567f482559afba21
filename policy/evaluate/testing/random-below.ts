/** For tests: whole numbers from 0 to below a limit, the same for the same seed, an integer (mulberry32). */
export type Random = (limit: number) => number;

/** For tests: starts a row of them. */
export function randomBelow(seed: number): Random {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}
