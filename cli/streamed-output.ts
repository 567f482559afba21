/** Bytes out, and whether they got there: a full disk must not pass for success. */
export interface StreamedOutput {
  readonly stdout: { write(data: string | Uint8Array, done?: (error?: Error | null) => void): unknown };
}

/** Resolves once the data went out; rejects with the system's error. */
export function written({ stdout }: StreamedOutput, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stdout.write(data, (error) => (error ? reject(error) : resolve()));
  });
}
