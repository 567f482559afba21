/**
 * A shorter list that still fails, found by leaving out ever smaller pieces. To what fast-check shrinks a list of a
 * thousand commands within a minute nobody can read.
 */
export function shortest<T>(list: readonly T[], fails: (list: readonly T[]) => boolean): readonly T[] {
  let found = list;
  for (let piece = Math.ceil(found.length / 2); piece >= 1; piece = piece === 1 ? 0 : Math.ceil(piece / 2)) {
    for (let start = 0; start < found.length; ) {
      const rest = [...found.slice(0, start), ...found.slice(start + piece)];
      if (fails(rest)) found = rest;
      else start += piece;
    }
  }
  return found;
}
