import { connect } from 'node:net';
import type { HostPort } from '../../runtime/sidecar-arguments.ts';

const LOOK_MS = 1_000;

/** Looks, once a second until it is, whether the application accepts connections. Only the start is watched: how it binds shows there. */
export class UpstreamWatch {
  #refusedFor = 0;
  #timer: NodeJS.Timeout | null = null;

  /** `onRefused` is told how many times in a row. */
  constructor(upstream: HostPort, onRefused: (times: number) => void) {
    const look = (): void => {
      const socket = connect({ ...upstream, autoSelectFamily: false }, () => {
        this.stop();
        this.#refusedFor = 0;
        socket.destroy();
      });
      socket.unref();
      socket.on('error', () => onRefused(++this.#refusedFor));
    };
    this.#timer = setInterval(look, LOOK_MS);
    this.#timer.unref();
  }

  /** True while it refuses; false before the first look and once it accepted. */
  get refusing(): boolean {
    return this.#refusedFor > 0;
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
