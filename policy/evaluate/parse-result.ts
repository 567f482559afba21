import { PortcullisError } from '../errors.ts';

/** What a parser of policy text returns: the value, or a message that says what to write instead. */
export type ParseResult<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly message: string };

/** The value of a parse that compile() has already seen succeed. @throws PortcullisError `bundle_invalid` */
export function valueOrThrow<Value>(result: ParseResult<Value>, owner: string): Value {
  if (result.ok) return result.value;
  throw new PortcullisError('bundle_invalid', `${owner}: ${result.message}`);
}
