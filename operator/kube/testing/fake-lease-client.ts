import type { Clock } from '../clock.ts';
import { type KubeClient, KubeError } from '../kube-client.ts';
import type { Lease } from '../lease.ts';

/** What a request meets: how long it is on its way, to the server and back, and whether it or its answer is lost. */
export interface Journey {
  readonly thereMs: number;
  readonly backMs: number;
  readonly lost?: 'Request' | 'Answer';
}

/** One Lease on a server, with optimistic concurrency, and clients that reach it by journeys. */
export class FakeLeaseServer {
  lease: Lease | null = null;
  #version = 0;

  /** A client whose every request meets the journey that `next` says. */
  client(clock: Clock, next: () => Journey): Pick<KubeClient, 'get' | 'create' | 'replace'> {
    const travel = async <R>(handle: () => R): Promise<R> => {
      const { thereMs, backMs, lost } = next();
      await new Promise<void>((resolve) => void clock.after(thereMs, resolve));
      const outcome = lost === 'Request' ? undefined : settled(handle);
      await new Promise<void>((resolve) => void clock.after(backMs, resolve));
      if (lost !== undefined || outcome === undefined) throw new KubeError(0, 'NoAnswer', 'fake');
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    };
    const client = {
      get: () => travel(() => this.lease),
      create: (_type: unknown, lease: Lease) =>
        travel(() => {
          if (this.lease) throw new KubeError(409, 'AlreadyExists', 'fake');
          return this.write(lease);
        }),
      replace: (_type: unknown, lease: Lease) =>
        travel(() => {
          if (!this.lease) throw new KubeError(404, 'NotFound', 'fake');
          const { resourceVersion } = this.lease.metadata;
          if (lease.metadata.resourceVersion !== resourceVersion) throw new KubeError(409, 'Conflict', 'fake');
          return this.write(lease);
        }),
    };
    return client as unknown as Pick<KubeClient, 'get' | 'create' | 'replace'>;
  }

  /** Writes whatever was there before. */
  write(lease: Lease): Lease {
    this.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(++this.#version) } };
    return this.lease;
  }
}

function settled<R>(handle: () => R): { readonly value: R } | { readonly error: unknown } {
  try {
    return { value: handle() };
  } catch (error) {
    return { error };
  }
}
