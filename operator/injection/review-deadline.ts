/** What `work` gives, or after `ms` milliseconds what `late` gives; the work goes on unseen, and then must not reject. */
export async function within<T>(ms: number, work: Promise<T>, late: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(late()), ms);
  });
  return await Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}
