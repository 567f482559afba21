/**
 * Sends one signed request and prints the answer:
 *   CLIENT_ID=bot-1 CLIENT_SECRET=… node examples/signed-requests/client.ts METHOD URL [BODY]
 */
import { signedHeaders } from './sign.ts';

const [method = 'GET', target = '', body] = process.argv.slice(2);
const url = new URL(target);
const client = { id: process.env['CLIENT_ID'] ?? '', secret: process.env['CLIENT_SECRET'] ?? '' };
const signed = signedHeaders(client, { method, url, body: body ?? '' });
const answer = await fetch(url, {
  method,
  headers: { ...signed, ...(body !== undefined && { 'Content-Type': 'application/json' }) },
  body: body ?? null,
});
console.log(answer.status, await answer.text());
