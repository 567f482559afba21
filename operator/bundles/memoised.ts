/** `of`, computed once for each object, as long as that object lives: objects of a cache are never changed. */
export function memoised<From extends object, To>(of: (from: From) => To): (from: From) => To {
  const known = new WeakMap<From, { readonly value: To }>();
  return (from) => {
    let entry = known.get(from);
    if (entry === undefined) {
      entry = { value: of(from) };
      known.set(from, entry);
    }
    return entry.value;
  };
}
