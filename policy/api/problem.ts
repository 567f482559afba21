/** Where something stands in a document: member names and list indexes from the root. */
export type Path = readonly (string | number)[];

/** One thing wrong with a document. */
export interface Problem {
  /** The offending field; for a missing one the path it would have. */
  readonly path: Path;
  /** What is wrong and what to write instead, without the path. */
  readonly message: string;
}

/** A path as kube-apiserver prints it: `spec.rules[0].match.paths[1]`; members that are no identifiers are quoted in brackets. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[A-Za-z_][\w-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}
