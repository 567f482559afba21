/** One HTTP/1.1 request on a connection of its own. */
export interface Requested {
  readonly do: 'request';
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs?: number;
}

/** What came back; `error`: nothing did, and why. */
export interface Reply {
  /** 0: no answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly error?: string;
}

/** `count` requests at once. */
export type Burst = Omit<Requested, 'do'> & { readonly do: 'burst'; readonly count: number };

/** A TCP connection, closed at once. */
export interface Dialled {
  readonly do: 'dial';
  readonly host: string;
  readonly port: number;
  readonly timeoutMs?: number;
}

/** A WebSocket until `count` messages have come. */
export interface Ticked {
  readonly do: 'ticks';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly count: number;
  readonly timeoutMs?: number;
}

/** Steady GET requests in the background. */
export interface LoadStarted {
  readonly do: 'load';
  readonly name: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly perSecond: number;
  /** A few kept connections, or a new one each. */
  readonly keepAlive: boolean;
}

/** What a load saw. */
export interface LoadReport {
  readonly sent: number;
  /** Count by status, or by the code of the error where there was no answer. */
  readonly statuses: Readonly<Record<string, number>>;
  /** The first answers other than 200. */
  readonly errors: readonly string[];
  readonly slowestMs: number;
}

/** Anything that the agent does. */
export type Command =
  | Requested
  | Burst
  | Dialled
  | Ticked
  | LoadStarted
  | { readonly do: 'useHeaders'; readonly name: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly do: 'stopLoad'; readonly name: string };
