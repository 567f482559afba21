import { Histogram } from 'prom-client';

/** Upper bounds in seconds: from a cached answer of a local application to its time-out. */
const BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];

/** A Prometheus histogram without labels whose `record` costs nanoseconds; prom-client renders it when scraped. */
export class HotHistogram extends Histogram<string> {
  readonly #name: string;
  readonly #help: string;
  readonly #counts = new Float64Array(BOUNDS.length + 1);
  #sum = 0;

  constructor(name: string, help: string) {
    super({ name, help, buckets: BOUNDS, registers: [] });
    this.#name = name;
    this.#help = help;
  }

  record(seconds: number): void {
    let i = 0;
    while (i < BOUNDS.length && seconds > (BOUNDS[i] as number)) i++;
    this.#counts[i] = (this.#counts[i] as number) + 1;
    this.#sum += seconds;
  }

  /** What prom-client renders, as text and as JSON. Its own storage stays empty. */
  async getForPromString(): Promise<Rendered> {
    const values: RenderedValue[] = [];
    let cumulative = 0;
    for (let i = 0; i <= BOUNDS.length; i++) {
      cumulative += this.#counts[i] as number;
      const le = i < BOUNDS.length ? (BOUNDS[i] as number) : '+Inf';
      values.push({ metricName: `${this.#name}_bucket`, labels: { le }, value: cumulative });
    }
    values.push({ metricName: `${this.#name}_sum`, labels: {}, value: this.#sum });
    values.push({ metricName: `${this.#name}_count`, labels: {}, value: cumulative });
    return { name: this.#name, help: this.#help, type: 'histogram', values, aggregator: 'sum' };
  }
}

interface RenderedValue {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

interface Rendered {
  readonly name: string;
  readonly help: string;
  readonly type: 'histogram';
  readonly values: readonly RenderedValue[];
  readonly aggregator: 'sum';
}
