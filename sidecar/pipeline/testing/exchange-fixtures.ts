import { Exchange } from '../exchange.ts';

/** For tests: an exchange of a plain GET, with what the test is about changed. */
export function testExchange(
  more: {
    readonly method?: string;
    readonly path?: string;
    readonly host?: string;
    readonly authority?: string;
    /** Flat: lower-case name, value, name, value. */
    readonly headers?: readonly string[];
    readonly upgrade?: boolean;
  } = {},
): Exchange {
  const { method = 'GET', path = '/', host = 'api.example', authority = host, headers = [], upgrade = false } = more;
  return new Exchange('id-1', method, path, '', host, authority, headers, '192.0.2.1', upgrade, 1_000, 0);
}
