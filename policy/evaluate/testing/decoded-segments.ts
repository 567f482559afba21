import { decodeSegment, type NormalizedPath } from '../normalize-path.ts';

/** The decoded segments of a canonical path; a trailing slash adds none. */
export function decodedSegments(path: NormalizedPath): string[] {
  const segments = path.split('/');
  segments.shift();
  if (segments.at(-1) === '') segments.pop();
  return segments.map(decodeSegment);
}
