import { request as httpRequest } from 'node:http';

/** An answer of the control socket. */
export interface ControlAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks the sidecar's process. Rejects with the system's error when nobody listens at `socketPath`. */
export function askControl(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, method, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (data: string) => {
        text += data;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
    });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
