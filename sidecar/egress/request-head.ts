import type { CheckedHead } from '../engine/check-head.ts';
import type { BrokerRequest } from './broker-request.ts';

/** The head that goes to the broker: the request's own, canonical, with the broker's Host and credential in place of any other. */
export function brokerHead({ broker, head, path, query }: BrokerRequest): string {
  const { credential } = broker;
  // An `_` stands for `-` to CGI, WSGI and others.
  const ours = credential?.header.replaceAll('_', '-');
  let lines = `${head.method} ${path}${query} HTTP/1.1\r\nhost: ${broker.authority}\r\n`;
  for (let i = 0; i < head.headers.length; i += 2) {
    const name = head.headers[i] as string;
    if (name.replaceAll('_', '-') !== ours) lines += `${name}: ${head.headers[i + 1]}\r\n`;
  }
  return `${lines}${framing(head)}${credential?.line ?? ''}\r\n`;
}

/** RFC 9110 §8.6: methods for which a body is expected say that there is none. */
function framing({ body, contentLength, method }: CheckedHead): string {
  if (body === 'chunked') return 'transfer-encoding: chunked\r\n';
  if (body === 'length') return `content-length: ${contentLength}\r\n`;
  return method === 'POST' || method === 'PUT' || method === 'PATCH' ? 'content-length: 0\r\n' : '';
}
