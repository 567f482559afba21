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
  /** One character an octet; taken for JSON where no header says otherwise. Absent: nothing is said of a body. */
  readonly body?: string;
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

/** Longest body of a request that nobody sent, in bytes. */
export const MAX_EXPLAINED_BODY = 65_536;

/** What would become of a request. */
export interface Decided {
  /** The rule of the access policy; null: none. */
  readonly rule: string | null;
  /** Of the answer; null: forwarded, and the application answers. */
  readonly status: number | null;
  /** Why it is refused, a code of docs/errors.md; null: it is not. */
  readonly code: string | null;
}

/** The same, layer by layer in the order in which they decide. Holds no token and nothing of a body but what is wrong with it. */
export interface Explanation extends Decided {
  readonly request: { readonly method: string; readonly host: string; readonly path: string; readonly client: string };
  readonly layers: readonly LayerVerdict[];
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
