/** What a parser of policy text returns: the value, or a message that says what to write instead. */
export type ParseResult<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly message: string };
