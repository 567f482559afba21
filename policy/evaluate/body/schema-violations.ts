import type { ErrorObject } from 'ajv/dist/2020.js';
import type { Violation } from './body-config.ts';
import { memberPointer } from './json-pointer.ts';

const MAX_ALLOWED_VALUES = 16;

/** ajv's errors (of a validator with `verbose`) as violations, each said once. What they say comes from the schema, never from the body. */
export function toViolations(errors: readonly ErrorObject[]): readonly Violation[] {
  const said = new Map<string, Violation>();
  for (const error of errors) {
    if (error.keyword === 'if') continue; // the errors of `then` or `else` stand beside it
    const violation = { pointer: pointerOf(error), message: messageOf(error) };
    said.set(JSON.stringify(violation), violation);
  }
  return [...said.values()];
}

function pointerOf({ keyword, instancePath, params, propertyName }: ErrorObject): string {
  const { missingProperty, additionalProperty, unevaluatedProperty } = params as Record<string, string | undefined>;
  const member = missingProperty ?? additionalProperty ?? unevaluatedProperty ?? propertyName;
  if (keyword === 'propertyNames') return memberPointer(instancePath, params['propertyName']);
  return member === undefined ? instancePath : memberPointer(instancePath, member);
}

function messageOf({ keyword, schema, params, message, propertyName }: ErrorObject): string {
  switch (keyword) {
    case 'required':
      return 'is required';
    case 'dependentRequired':
      return `is required beside ${JSON.stringify(params['property'])}`;
    case 'additionalProperties':
    case 'unevaluatedProperties':
    case 'false schema':
      return 'must not be here';
    case 'propertyNames':
      return 'has a name that is not allowed';
    case 'const':
      return `must be ${JSON.stringify(schema)}`;
    case 'enum':
      if (!Array.isArray(schema) || schema.length > MAX_ALLOWED_VALUES) return 'must be one of the allowed values';
      return `must be one of ${schema.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'uniqueItems':
      return 'must not hold the same item twice';
    case 'multipleOf':
      return `must be a multiple of ${String(schema)}`;
    default:
      return `${propertyName === undefined ? '' : 'name '}${message ?? 'is not valid'}`;
  }
}
