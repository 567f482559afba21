import type { KeyObject } from 'node:crypto';
import { decodeBundle } from '../policy/bundle/decode.ts';
import type { IssuerBundle } from '../policy/bundle/tokens.ts';
import type { AccessBundle } from '../policy/bundle/types.ts';
import type { PortcullisError } from '../policy/errors.ts';
import type { BundleState } from '../runtime/sidecar-status.ts';
import { type BundleLocation, BundleSource } from './bundle-source/bundle-source.ts';
import type { TokenHandlers } from './token-service/open-token-handlers.ts';
import { createPasswordVerifier } from './token-service/password-verifier.ts';

/** What a pod that issues tokens issues them with. */
export interface IssuingOptions {
  readonly publicKey: KeyObject;
  /** Null: nothing to sign by will ever come. */
  readonly location: BundleLocation | null;
  /** Puts what `handlers` now gives in force. */
  readonly changed: () => Promise<void>;
  readonly refused: (error: PortcullisError) => void;
}

/** The issuer bundle of a pod and the thread that looks at passwords; both outlive every change of the policies. */
export class Issuing {
  readonly #source: BundleSource<IssuerBundle> | null;
  readonly #passwords = createPasswordVerifier();
  #bundle: IssuerBundle | null = null;

  constructor({ publicKey, location, changed, refused }: IssuingOptions) {
    this.#source =
      location &&
      new BundleSource(
        location,
        {
          decode: (bytes, after) => decodeBundle(bytes, { kind: 'Issuer', publicKey, ...location, ...after }),
          accept: async (bundle) => {
            const { checkSigningKey } = await import('./token-service/open-token-handlers.ts');
            await checkSigningKey(bundle);
            const before = this.#bundle;
            this.#bundle = bundle;
            await changed().catch((error) => {
              this.#bundle = before;
              throw error;
            });
          },
          refused,
        },
        Date.now,
      );
  }

  /** Null: nothing to sign by will ever come. */
  get state(): BundleState | null {
    return this.#source?.state ?? null;
  }

  async start(): Promise<void> {
    await this.#source?.start();
  }

  async check(): Promise<void> {
    await this.#source?.check();
  }

  async stop(): Promise<void> {
    this.#source?.stop();
    await this.#passwords.close();
  }

  /** Whether something that the policy needs for its endpoints is still to come. */
  awaits({ tokens }: AccessBundle): boolean {
    return this.#source !== null && this.#bundle === null && tokens?.endpoints !== undefined;
  }

  /** What answers the token endpoints of a policy now. What signs is loaded only for a policy that has some. */
  async handlers({ tokens }: AccessBundle): Promise<TokenHandlers> {
    if (tokens?.endpoints === undefined) return () => new Map();
    const { openTokenHandlers } = await import('./token-service/open-token-handlers.ts');
    return openTokenHandlers(this.#bundle, this.#passwords);
  }
}
