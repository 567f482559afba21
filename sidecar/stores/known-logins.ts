const MAX_USERS = 10_000;
/** How long an address from which somebody logged in stays known, and how many of them a user has. */
export const KNOWN_MS = 30 * 24 * 3600 * 1000;
export const KNOWN_ADDRESSES = 10;

/** From where users have logged in, in bounded memory: the user and the address that were not heard of for longest are forgotten. */
export class KnownLogins {
  readonly #addresses = new Map<string, Map<string, number>>();

  note(user: string, address: string, now: number): void {
    const addresses = this.#addresses.get(user) ?? new Map<string, number>();
    addresses.delete(address);
    addresses.set(address, now);
    dropFirst(addresses, KNOWN_ADDRESSES);
    this.#addresses.delete(user);
    this.#addresses.set(user, addresses);
    dropFirst(this.#addresses, MAX_USERS);
  }

  has(user: string, address: string, now: number): boolean {
    const at = this.#addresses.get(user)?.get(address);
    return at !== undefined && now - at < KNOWN_MS;
  }
}

function dropFirst(map: Map<string, unknown>, most: number): void {
  if (map.size > most) map.delete(map.keys().next().value!);
}
