import type { Bundle } from '../../policy/bundle/types.ts';
import type { BundleSource } from './bundle-source.ts';

/**
 * Adopts a bundle beside the other one as it is in force or, when that fails, as its file is now: both may have changed, each to what
 * fits only the new one of the other. Rejects with the first error when neither way works.
 */
export async function withEither<B extends Bundle>(
  inForce: B | null,
  source: BundleSource<B> | null,
  adopt: (other: B | null) => Promise<void>,
): Promise<void> {
  try {
    await adopt(inForce);
  } catch (error) {
    const file = await source?.peek().catch(() => null);
    if (file === null || file === undefined) throw error;
    await adopt(file).catch(() => {
      throw error;
    });
  }
}
