/** The program of the thread that computes bcrypt; in a bundle, which is one file, scripts/build.ts puts its text into this URL. */
export function bcryptWorkerUrl(): URL {
  return new URL('./bcrypt-worker.ts', import.meta.url);
}
