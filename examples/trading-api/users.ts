/** A person who trades, or watches. */
export interface User {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly role: 'viewer' | 'trader' | 'admin';
  readonly tenant: string;
}

/** What a user of the demo signs in with: tom with tom-Demo-1. */
export function demoPassword({ id }: User): string {
  return `${id}-Demo-1`;
}

/** Everyone who has an account, by id: the `sub` of their tokens. */
export function seedUsers(): Map<string, User> {
  const users: readonly User[] = [
    { id: 'vera', name: 'Vera Viewer', email: 'vera@trading.example', role: 'viewer', tenant: 'acme' },
    { id: 'tom', name: 'Tom Trader', email: 'tom@trading.example', role: 'trader', tenant: 'acme' },
    { id: 'tina', name: 'Tina Trader', email: 'tina@trading.example', role: 'trader', tenant: 'globex' },
    { id: 'ada', name: 'Ada Admin', email: 'ada@trading.example', role: 'admin', tenant: 'acme' },
  ];
  return new Map(users.map((user) => [user.id, user]));
}
