import { didYouMean } from '../api/nearest.ts';

/** `"word"` and, when one of `known` is near, `; did you mean "that"?`; else what there is. `plural` names the things. */
export function unknownWord(word: string, known: readonly string[], plural: string): string {
  const quoted = JSON.stringify(word);
  const near = didYouMean(
    quoted,
    known.map((candidate) => JSON.stringify(candidate)),
  );
  if (near !== '') return `${quoted}${near}`;
  return `${quoted}; ${known.length === 0 ? `there are no ${plural}` : thereAre(known)}`;
}

/** `there is only X`, or `there are X, Y and 3 more`. */
export function thereAre(words: readonly string[]): string {
  return words.length === 1 ? `there is only ${words[0]}` : `there are ${listed(words)}`;
}

/** At most ten of the words, and how many more there are. */
export function listed(words: readonly string[]): string {
  const shown = words.slice(0, 10).join(', ');
  return words.length > 10 ? `${shown} and ${words.length - 10} more` : shown;
}
