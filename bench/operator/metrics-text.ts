/** One line of the Prometheus text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All that a process counts, at one moment. */
export class Metrics {
  readonly #samples: readonly Sample[];

  /** `text`: Prometheus' text format, with labels that need no escapes. */
  constructor(text: string) {
    this.#samples = text.split('\n').flatMap((line) => {
      const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      if (name === undefined) return [];
      const pairs = Array.from(labels.matchAll(/(\w+)="([^"]*)"/g), ([, key, text]) => [key!, text!] as const);
      return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
    });
  }

  /** The sum of a metric's samples with these labels. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#of(name, labels).reduce((sum, { value }) => sum + value, 0);
  }

  /** Values of a label, each with the sum of its samples. */
  by(name: string, label: string, labels: Readonly<Record<string, string>> = {}): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const sample of this.#of(name, labels)) {
      const key = sample.labels[label] ?? '';
      sums.set(key, (sums.get(key) ?? 0) + sample.value);
    }
    return sums;
  }

  #of(name: string, labels: Readonly<Record<string, string>>): Sample[] {
    return this.#samples.filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
  }
}

/** Values minus those of an earlier moment, without those that did not change. */
export function increase(now: ReadonlyMap<string, number>, before: ReadonlyMap<string, number>): Map<string, number> {
  return new Map(
    [...now].map(([key, value]) => [key, value - (before.get(key) ?? 0)] as const).filter(([, n]) => n > 0),
  );
}

/**
 * The bound of the bucket in which a quantile of a histogram lies. `buckets`: counts by `le`, cumulative and in any order;
 * NaN: nothing was observed.
 */
export function quantileBound(buckets: ReadonlyMap<string, number>, quantile: number): number {
  const bounds = Array.from(buckets, ([le, count]) => ({
    le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le),
    count,
  }));
  const sorted = bounds.toSorted((one, other) => one.le - other.le);
  const total = sorted.at(-1)?.count ?? 0;
  return total === 0 ? Number.NaN : sorted.find(({ count }) => count >= quantile * total)!.le;
}
