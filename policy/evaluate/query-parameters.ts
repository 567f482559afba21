/**
 * The parameters of a query (`?` included, or empty) by name, decoded as application/x-www-form-urlencoded (URL standard
 * §5.1). A parameter that occurs twice has no one value that every server agrees on: reading it throws.
 * @throws URIError when a name or value is not percent-encoded UTF-8
 */
export function parseQuery(query: string): Readonly<Record<string, string>> {
  const parameters: Record<string, string> = Object.create(null);
  if (query.length < 2) return parameters;
  for (const pair of query.slice(1).split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decode(pair.slice(equals + 1));
    if (name in parameters) refuseReading(parameters, name);
    else parameters[name] = value;
  }
  return parameters;
}

function refuseReading(parameters: Record<string, string>, name: string): void {
  Object.defineProperty(parameters, name, {
    configurable: true,
    enumerable: true,
    get() {
      throw new Error('a query parameter that an expression reads occurs more than once');
    },
  });
}

function decode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
