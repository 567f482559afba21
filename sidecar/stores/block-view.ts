import type { Block } from './blocks.ts';

/** Measures held at once when nothing else is said. */
export const MAX_BLOCKS = 20_000;
/** Old measures looked at for each one that needs room. */
const LOOKED_AT = 16;

interface Held extends Block {
  /** Whether the shared store has it too. */
  readonly stored: boolean;
}

/** Measures that this process knows of, bounded: the one of a few old ones that ends first makes room for a new one. */
export class BlockView {
  readonly #max: number;
  readonly #held: Readonly<Record<Block['measure'], Map<string, Held>>> = { Block: new Map(), Throttle: new Map() };

  #maybeUnstored = false;

  constructor(max = MAX_BLOCKS) {
    this.#max = max;
  }

  get size(): number {
    return this.#held.Block.size + this.#held.Throttle.size;
  }

  find(measure: Block['measure'], subject: string, now: number): Block | undefined {
    const held = this.#held[measure];
    const block = held.get(subject);
    if (block === undefined || block.until > now) return block;
    held.delete(subject);
    return undefined;
  }

  /** Adds a measure; of two against one subject the one that ends later holds. */
  add(block: Block, stored: boolean): void {
    const held = this.#held[block.measure];
    const before = held.get(block.subject);
    if (before !== undefined && before.until > block.until) return;
    this.#maybeUnstored ||= !stored;
    this.#put(held, { ...block, stored });
  }

  /** Takes what the shared store says, even when that ends sooner, unless it does not know yet of what is held. */
  replace(block: Block): void {
    const held = this.#held[block.measure];
    const before = held.get(block.subject);
    if (before !== undefined && !before.stored && before.until > block.until) return;
    this.#put(held, { ...block, stored: true });
  }

  remove(measure: Block['measure'], subject: string): boolean {
    return this.#held[measure].delete(subject);
  }

  /** Measures that the shared store may not have; `replace` says that it has one. */
  unstored(now: number): readonly Block[] {
    if (!this.#maybeUnstored) return [];
    const unstored = this.#all().filter(({ stored, until }) => !stored && until > now);
    this.#maybeUnstored = unstored.length > 0;
    return unstored;
  }

  /** The shared store may have lost what it had. */
  doubt(): void {
    this.#maybeUnstored = true;
    for (const block of this.#all()) this.#held[block.measure].set(block.subject, { ...block, stored: false });
  }

  /** Those that end last first. */
  list(now: number): readonly Block[] {
    return this.#all()
      .filter(({ until }) => until > now)
      .sort((one, other) => other.until - one.until)
      .map(({ stored: _, ...block }) => block);
  }

  #all(): Held[] {
    return [...this.#held.Block.values(), ...this.#held.Throttle.values()];
  }

  #put(held: Map<string, Held>, block: Held): void {
    if (!held.has(block.subject) && this.size >= this.#max) this.#makeRoom();
    held.set(block.subject, block);
  }

  #makeRoom(): void {
    const { Block, Throttle } = this.#held;
    // What slows down gives way to what refuses.
    const held = Throttle.size > 0 ? Throttle : Block;
    let first: Held | undefined;
    let looked = 0;
    for (const block of held.values()) {
      if (first === undefined || block.until < first.until) first = block;
      if (++looked === LOOKED_AT) break;
    }
    if (first !== undefined) held.delete(first.subject);
  }
}
