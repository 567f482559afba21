import type { Random } from './random.ts';

/** One price change of an instrument. */
export interface Tick {
  readonly symbol: string;
  readonly price: number;
  readonly size: number;
  /** RFC 3339. */
  readonly time: string;
}

/** Prices of one minute. */
export interface Candle {
  readonly time: string;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

const OPENING_PRICES: Readonly<Record<string, number>> = {
  'BTC-USD': 64_250,
  'ETH-USD': 3_180,
  AAPL: 229.4,
  MSFT: 431.8,
};
const MINUTE_MS = 60_000;

/** The instruments traded here and how their prices walk. */
export class Market {
  readonly #prices = new Map(Object.entries(OPENING_PRICES));
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  get symbols(): readonly string[] {
    return [...this.#prices.keys()];
  }

  /** The last price, undefined for an instrument that is not traded here. */
  price(symbol: string): number | undefined {
    return this.#prices.get(symbol);
  }

  /** Moves one instrument's price by up to 0.1 %. */
  tick(now: number): Tick {
    const symbols = this.symbols;
    const symbol = symbols[Math.floor(this.#random() * symbols.length)] ?? '';
    const price = this.#walk(this.#prices.get(symbol) ?? 1);
    this.#prices.set(symbol, price);
    return { symbol, price, size: 1 + Math.floor(this.#random() * 50), time: new Date(now).toISOString() };
  }

  /** The last `count` minutes, oldest first, ending at the last price. */
  candles(symbol: string, count: number, now: number): readonly Candle[] {
    let close = this.#prices.get(symbol) ?? 0;
    const candles: Candle[] = [];
    for (let age = 0; age < count; age++) {
      const open = this.#walk(close);
      const time = new Date(now - (now % MINUTE_MS) - age * MINUTE_MS).toISOString();
      const [high, low] = [Math.max(open, close), Math.min(open, close)];
      candles.push({ time, open, high, low, close, volume: 100 + Math.floor(this.#random() * 900) });
      close = open;
    }
    return candles.reverse();
  }

  #walk(price: number): number {
    return Math.round(price * (1 + (this.#random() - 0.5) / 500) * 100) / 100;
  }
}
