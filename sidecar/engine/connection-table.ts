import type { Socket } from 'node:net';
import { type ConnectionsConfig, DEFAULT_CONNECTIONS } from '../../policy/bundle/connections.ts';
import { addressKey } from '../../policy/evaluate/address-key.ts';
import type { ConnectionRules } from './engine-context.ts';

/**
 * How a connection can be spared: it is idle; it keeps us waiting for the head of a request; for the body of one, or to take its answer;
 * or it has come only now. Null: it is at work.
 */
export type Spare = 'idle' | 'waiting' | 'slow' | 'young' | null;

/** What the table may ask of a connection. */
export interface SpareConnection {
  /** `now`: by the coarse clock. */
  spare(now: number): Spare;
  destroy(): void;
}

/** The caps that hold. */
export type ConnectionCaps = Pick<ConnectionsConfig, 'perPod' | 'perAddress'>;

/** Why a connection was closed unasked. */
export type ConnectionRefusal = 'per_pod' | 'per_address';

/** The caps of a policy; in Shadow they are carried out only where they are tighter than none at all: as DEFAULT_CONNECTIONS has them. */
export function capsOf({ config, shadow }: ConnectionRules): ConnectionCaps {
  if (!shadow) return config;
  return {
    perPod: Math.max(config.perPod, DEFAULT_CONNECTIONS.perPod),
    perAddress: Math.max(config.perAddress, DEFAULT_CONNECTIONS.perAddress),
  };
}

interface Group {
  readonly address: string;
  readonly entries: Set<Entry>;
  /** Before that nothing of it can be spared. */
  nothingUntil: number;
}

interface Entry {
  readonly socket: Socket;
  readonly group: Group;
  readonly since: number;
  /** Null while it is in a TLS handshake. */
  connection: SpareConnection | null;
}

/** When nothing could be spared, nobody looks again for so long: looking costs more than a connection. */
const LOOK_AGAIN_MS = 100;
/** Part of the cap that is made free at one look. */
const ROOM = 64;
const RANK = { idle: 0, waiting: 1, slow: 2, young: 3 } as const;

/**
 * The client connections of a sidecar, over all its ports, and their caps. At the cap of a pod, connections that can be spared make
 * room, those of the address with the most first, so that whoever holds few is served however many another one opens. None makes
 * room for an address that has more; one with a request under way, or that came a moment ago, only for an address that has fewer.
 */
export class ConnectionTable {
  readonly #groups = new Map<string, Group>();
  readonly #entries = new Map<Socket, Entry>();
  /** Before that nothing can be spared for an address that would have so many: there may be something for one with fewer. */
  #nothing = { until: 0, newcomers: 0 };
  /** Connections that had to make room. */
  spared = 0;
  /** Connections closed as they came. */
  readonly refused: Record<ConnectionRefusal, number> = { per_pod: 0, per_address: 0 };

  /** Connections open, WebSockets and TLS handshakes included. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Takes a new connection in, or closes it and says no. `proxy`: its peer speaks for many, and has no cap of its own; `now`: by the
   * coarse clock.
   */
  admit(socket: Socket, proxy: boolean, caps: ConnectionCaps, now: number): boolean {
    const address = addressKey(socket.remoteAddress ?? '');
    const group = this.#groups.get(address) ?? { address, entries: new Set(), nothingUntil: 0 };
    if (!proxy && group.entries.size >= caps.perAddress && !this.#spareOwn(group, now)) {
      return this.#refuse(socket, 'per_address');
    }
    if (this.size >= caps.perPod && !this.#spareSome(group.entries.size + 1, caps.perPod, now)) {
      return this.#refuse(socket, 'per_pod');
    }
    this.#groups.set(address, group);
    const entry: Entry = { socket, group, since: now, connection: null };
    group.entries.add(entry);
    this.#entries.set(socket, entry);
    socket.once('close', () => this.#remove(entry));
    return true;
  }

  /** From now on `connection` says what can be spared of a socket that was let in. */
  attach(socket: Socket, connection: SpareConnection): void {
    const entry = this.#entries.get(socket);
    if (entry !== undefined) entry.connection = connection;
  }

  #refuse(socket: Socket, why: ConnectionRefusal): false {
    this.refused[why]++;
    socket.on('error', () => {});
    socket.destroy();
    return false;
  }

  /** At its own cap an address gives up what it does not use. */
  #spareOwn(group: Group, now: number): boolean {
    if (now < group.nothingUntil) return false;
    let oldest: Entry | undefined;
    for (const entry of group.entries) {
      const spare = spareOf(entry, now);
      if ((spare === 'idle' || spare === 'waiting') && (oldest === undefined || entry.since < oldest.since))
        oldest = entry;
    }
    if (oldest === undefined) group.nothingUntil = now + LOOK_AGAIN_MS;
    else this.#spare(oldest);
    return oldest !== undefined;
  }

  #spareSome(newcomers: number, perPod: number, now: number): boolean {
    // Half as many at least: else addresses of every size could make us look as often as there are sizes.
    const looked = now < this.#nothing.until;
    if (looked && newcomers > this.#nothing.newcomers / 2) return false;
    const found: (readonly [entry: Entry, rank: number, ofAddress: number])[] = [];
    for (const entry of this.#entries.values()) {
      const ofAddress = entry.group.entries.size;
      if (ofAddress < newcomers - 1) continue;
      const spare = spareOf(entry, now);
      if (spare === null || ((spare === 'slow' || spare === 'young') && ofAddress <= newcomers)) continue;
      found.push([entry, RANK[spare], ofAddress]);
    }
    if (found.length === 0) this.#nothing = { until: looked ? this.#nothing.until : now + LOOK_AGAIN_MS, newcomers };
    found.sort(([one, oneRank, oneCount], [other, otherRank, otherCount]) => {
      return otherCount - oneCount || oneRank - otherRank || one.since - other.since;
    });
    for (const [entry] of found.slice(0, Math.ceil(perPod / ROOM))) this.#spare(entry);
    return found.length > 0;
  }

  #spare(entry: Entry): void {
    this.spared++;
    this.#remove(entry);
    if (entry.connection === null) entry.socket.destroy();
    else entry.connection.destroy();
  }

  #remove(entry: Entry): void {
    // It is told twice of one that was spared; its address may have others by then.
    if (!this.#entries.delete(entry.socket)) return;
    entry.group.entries.delete(entry);
    if (entry.group.entries.size === 0) this.#groups.delete(entry.group.address);
  }
}

/** A TLS handshake that does not come to its end keeps us waiting. */
const HANDSHAKE_MS = 1_000;

function spareOf({ connection, since }: Entry, now: number): Spare {
  if (connection !== null) return connection.spare(now);
  return now - since > HANDSHAKE_MS ? 'waiting' : 'young';
}
