import type { FuncKeywordDefinition } from 'ajv/dist/2020.js';

/** `uniqueItems` in time linear in the size of the array; ajv's own compares every item with every other. */
export const uniqueItems: FuncKeywordDefinition = {
  keyword: 'uniqueItems',
  type: 'array',
  schemaType: 'boolean',
  errors: false,
  validate: (unique: boolean, items: readonly unknown[]) =>
    !unique || new Set(items.map(canonical)).size === items.length,
};

/** `multipleOf` of decimal numbers as they are written: 19.99 is a multiple of 0.01, which a division of doubles denies. */
export const multipleOf: FuncKeywordDefinition = {
  keyword: 'multipleOf',
  type: 'number',
  schemaType: 'number',
  errors: false,
  validate: (divisor: number, value: number) => isMultiple(value, divisor),
};

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.sort().join()}}`;
}

function isMultiple(value: number, divisor: number): boolean {
  const [dividend, by] = [decimal(value), decimal(divisor)];
  const scale = Math.max(dividend.fraction, by.fraction);
  return scaled(dividend, scale) % scaled(by, scale) === 0n;
}

interface Decimal {
  readonly digits: bigint;
  /** digits × 10^-fraction is the number. */
  readonly fraction: number;
}

/** The shortest decimal that is read as this double. */
function decimal(value: number): Decimal {
  const [digits, exponent = '0'] = String(value).split('e');
  const [whole, part = ''] = digits!.split('.');
  return { digits: BigInt(whole! + part), fraction: part.length - Number(exponent) };
}

function scaled({ digits, fraction }: Decimal, scale: number): bigint {
  return digits * 10n ** BigInt(scale - fraction);
}
