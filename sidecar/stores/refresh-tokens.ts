/** What a login gave, kept for as long as its refresh tokens live. */
export interface RefreshSession {
  readonly user: string;
  /** What access tokens say of the user; when its source can be asked again, what it says then counts. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Changes with the user's password; null where we do not know it. */
  readonly credential: string | null;
  /** Epoch milliseconds of the login. */
  readonly loggedInAt: number;
}

/** A family whose token was presented: the session and what leads from that token to the one that is live now. */
export interface LiveFamily {
  readonly session: RefreshSession;
  /** `successorOf` with each of these in turn, from the presented secret on, gives the live secret. At least one. */
  readonly salts: readonly string[];
  /** Milliseconds until every token of the family ends. */
  readonly expiresInMs: number;
}

/**
 * `Reused`: the token had been replaced before the grace, and the family is now revoked. `Unknown`: no such family: it
 * ended, was revoked or never was. `Unavailable`: the store does not answer; nothing is known to have happened.
 */
export type Rotation =
  | ({ readonly kind: 'Rotated' } & LiveFamily)
  | { readonly kind: 'Reused'; readonly session: RefreshSession }
  | { readonly kind: 'Unknown' }
  | { readonly kind: 'Unavailable' };

/** One step from a token to its successor, chosen by whoever presents it; used only when the token is the live one. */
export interface Successor {
  readonly salt: string;
  /** SHA-256 of the successor's secret, base64url. */
  readonly hash: string;
}

/**
 * Families of refresh tokens: at any time one token of a family is live, and only its hash is kept. A token that was replaced
 * less than `graceMs` ago leads to the live one (two tabs, a lost answer); one replaced before that revokes the family
 * (RFC 9700 §4.14.2). All tokens of a family end together, so that rotation prolongs nothing. Each call is atomic. Never rejects.
 */
export interface RefreshTokenStore {
  /** Begins a family; false when the store did not take it. `now`: epoch milliseconds (a shared store uses its own clock). */
  begin(family: string, hash: string, session: RefreshSession, lifetimeMs: number, now: number): Promise<boolean>;
  /** Presents the token whose secret has this hash. */
  rotate(family: string, hash: string, successor: Successor, graceMs: number, now: number): Promise<Rotation>;
  /** Families that live; null: the store does not answer. */
  count(now: number): Promise<number | null>;
  /** Ends a family; false when the store did not answer. One that is not there is ended already. */
  revoke(family: string): Promise<boolean>;
}

/** Replaced tokens of a family that are remembered; no honest client replaces more within a grace. */
export const MAX_LINKS = 32;
