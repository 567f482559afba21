// A browser in the node's network, which signs in, waits until its token has expired, refreshes and signs out. Started by
// access-browser.ts with what it is to visit as JSON; writes what it saw as JSON.
import type { Page } from 'puppeteer-core';
import { startBrowser } from '../support/browser.ts';
import type { BrowserVisit, BrowserVisited } from './access-browser.ts';

const visit: BrowserVisit = JSON.parse(process.argv[2] ?? '');
const { origin, host, address, certificate, credentials } = visit;
const browser = await startBrowser({ certificates: [certificate], hosts: [host], address });

/** Status of a fetch from the page's own origin. */
function ask(page: Page, path: string, method = 'GET', body?: object): Promise<number> {
  const init = { method, ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) };
  return page.evaluate((url, given) => fetch(url, given).then(({ status }) => status), path, init);
}

/** Status of /orders once it is no longer `status`. */
async function ordersAfter(page: Page, status: number): Promise<number> {
  for (;;) {
    const now = await ask(page, '/orders');
    if (now !== status) return now;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

try {
  const page = await browser.newPage();
  await page.goto(`${origin}/healthz`);
  const before = await ask(page, '/orders');
  const login = await ask(page, '/auth/login', 'POST', credentials);
  const readable = await page.evaluate<[], () => string>('document.cookie' as never);
  const cookies = (await browser.cookies()).map(({ name, httpOnly, secure, sameSite }) =>
    [name, httpOnly && 'HttpOnly', secure && 'Secure', sameSite].join(' '),
  );
  const loggedIn = await ask(page, '/orders');
  const message = await page.evaluate(
    (url) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url);
        socket.onmessage = ({ data }) => resolve(String(data));
        socket.onerror = () => resolve('refused');
      }),
    `${origin.replace('https', 'wss')}/ticks`,
  );
  const since = Date.now();
  const expired = await ordersAfter(page, 200);
  const seconds = (Date.now() - since) / 1_000;
  const refresh = await ask(page, '/auth/refresh', 'POST');
  const refreshed = await ask(page, '/orders');
  const logout = await ask(page, '/auth/logout', 'POST');
  const loggedOut = await ask(page, '/orders');
  const refreshAgain = await ask(page, '/auth/refresh', 'POST');
  const visited: BrowserVisited = {
    statuses: { before, login, loggedIn, expired, refresh, refreshed, logout, loggedOut, refreshAgain },
    readable,
    cookies: [...new Set(cookies)].sort(),
    tick: message !== 'refused',
    expiredAfterSeconds: seconds,
  };
  console.log(JSON.stringify(visited));
} finally {
  await browser.close();
}
