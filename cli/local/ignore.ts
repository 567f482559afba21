/** For a promise's catch: undefined when the system's error has this code, such as ENOENT; any other is thrown again. */
export function ignore(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code !== code) throw error;
    return undefined;
  };
}
