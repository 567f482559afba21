/** A request that nobody sent: what would become of it? */
export interface ExplainRequest {
  readonly method: string;
  /** Path, with a query if there is one. */
  readonly target: string;
  readonly host: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Address that the request comes from. */
  readonly client: string;
  /** A token, verified as ever; claims, taken as if a verified token had carried them; null: none but what the headers hold. */
  readonly credential: { readonly token: string } | { readonly claims: Readonly<Record<string, unknown>> } | null;
}

/** What one layer decides. */
export interface LayerVerdict {
  readonly layer: string;
  /** `pass`, `answer`, or a code of docs/errors.md. */
  readonly decision: string;
  /** Whether the policy's mode is Shadow: the decision is counted and logged, and the request goes on. */
  readonly shadow: boolean;
  /** Sentences for people. */
  readonly details: readonly string[];
}

/** What would become of a request, layer by layer in the order in which they decide. Holds no token. */
export interface Explanation {
  readonly request: { readonly method: string; readonly host: string; readonly path: string; readonly client: string };
  /** The rule of the access policy; null: none. */
  readonly rule: string | null;
  readonly layers: readonly LayerVerdict[];
  /** Of the answer; null: forwarded, and the application answers. */
  readonly status: number | null;
  /** Why it is refused, a code of docs/errors.md; null: it is not. */
  readonly code: string | null;
}

/** The explanation as text, a line a sentence. */
export function renderExplanation({ request, layers, status, code }: Explanation): string {
  const lines = [`${request.method} ${request.host}${request.path} from ${request.client}`];
  for (const { layer, decision, shadow, details } of layers) {
    lines.push(`${layer}: ${decision}${shadow && decision !== 'pass' ? ' (mode Shadow: not carried out)' : ''}`);
    for (const detail of details) lines.push(`  ${detail}`);
  }
  lines.push(
    status === null ? 'result: forwarded to the application' : `result: ${status}${code === null ? '' : ` ${code}`}`,
  );
  return `${lines.join('\n')}\n`;
}
