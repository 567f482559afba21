/**
 * Makes request ids that are unique across processes and cheap: a random prefix per process and a counter. `random`: 12 or more
 * random bytes. They are identifiers, not secrets.
 */
export function createRequestIds(random: Buffer): () => string {
  const prefix = random.toString('hex').slice(0, 24);
  let counter = 0;
  return () => `${prefix}-${(counter++).toString(36)}`;
}

const WELL_FORMED = /^[A-Za-z0-9._:-]{1,128}$/;

/** True for an id that a trusted proxy may hand on: it can be logged and sent as it is. */
export function isRequestId(value: string): boolean {
  return WELL_FORMED.test(value);
}
