import type { Market } from './market.ts';

/** An order as it is answered. */
export interface Order {
  readonly id: string;
  readonly user: string;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: number;
  readonly price: number;
  readonly status: 'filled';
  readonly createdAt: string;
}

/** What a user holds of one instrument. */
export interface Position {
  readonly symbol: string;
  readonly quantity: number;
  readonly value: number;
}

/** Orders that the demo keeps; the oldest go first. */
const MAX_ORDERS = 1_000;

/** Every order placed since the start. Orders are filled at once, at the last price. */
export class Orders {
  readonly #orders: Order[] = [];
  readonly #market: Market;
  #placed = 0;

  constructor(market: Market) {
    this.#market = market;
  }

  /** The newest orders of a user, newest first; of everyone for null. */
  list(user: string | null, limit: number): readonly Order[] {
    const own = user === null ? this.#orders : this.#orders.filter((order) => order.user === user);
    return own.slice(-limit).reverse();
  }

  find(id: string): Order | undefined {
    return this.#orders.find((order) => order.id === id);
  }

  /** Places an order that came as JSON, or says what is wrong with it. */
  place(user: string, body: unknown, now: number): Order | string {
    if (typeof body !== 'object' || body === null)
      return 'send an order: {"symbol": "AAPL", "side": "buy", "quantity": 10}';
    const { symbol, side, quantity } = body as Readonly<Record<string, unknown>>;
    const price = typeof symbol === 'string' ? this.#market.price(symbol) : undefined;
    if (typeof symbol !== 'string' || price === undefined)
      return `symbol must be one of ${this.#market.symbols.join(', ')}`;
    if (side !== 'buy' && side !== 'sell') return 'side must be buy or sell';
    if (typeof quantity !== 'number' || !(quantity > 0 && quantity <= 1e6))
      return 'quantity must be a number from 0 to 1000000';
    this.#placed++;
    const id = `ord-${String(this.#placed).padStart(6, '0')}`;
    const createdAt = new Date(now).toISOString();
    const order: Order = { id, user, symbol, side, quantity, price, status: 'filled', createdAt };
    this.#orders.push(order);
    if (this.#orders.length > MAX_ORDERS) this.#orders.shift();
    return order;
  }

  /** Takes an order of the user back; false: there is none of that name. */
  cancel(user: string, id: string): boolean {
    const at = this.#orders.findIndex((order) => order.id === id && order.user === user);
    if (at >= 0) this.#orders.splice(at, 1);
    return at >= 0;
  }

  /** What a user's orders add up to. */
  positions(user: string): readonly Position[] {
    const held = new Map<string, number>();
    for (const order of this.list(user, MAX_ORDERS)) {
      const change = order.side === 'buy' ? order.quantity : -order.quantity;
      held.set(order.symbol, (held.get(order.symbol) ?? 0) + change);
    }
    return [...held].map(([symbol, quantity]) => {
      const value = Math.round(quantity * (this.#market.price(symbol) ?? 0) * 100) / 100;
      return { symbol, quantity, value };
    });
  }
}
