import type { Field } from '../policy/api/field.ts';

/** A field's description with its default at the end, as `kubectl explain` shows it. */
export function describeField(field: Field): string {
  const fallback = describeDefault(field);
  return [field.description, fallback && `Default: ${fallback}.`].filter(Boolean).join(' ');
}

/** A field's default in words; undefined where it has none, or only the ones of its members. */
export function describeDefault(field: Field): string | undefined {
  if (field.defaultText !== undefined) return field.defaultText;
  const value = field.default;
  if (value === undefined || (isEmptyObject(value) && field.properties)) return undefined;
  if (Array.isArray(value) && value.length === 0) return 'none';
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(', ');
  if (isEmptyObject(value)) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}
