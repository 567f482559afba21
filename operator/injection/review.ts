/** A request for admission as admission.k8s.io/v1 has it, as much as handlers read. Anyone who reaches the port can have written it. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly dryRun: boolean;
  /** Null on DELETE. */
  readonly object: unknown;
  /** Null on CREATE. */
  readonly oldObject: unknown;
}

/** What is answered to one. */
export interface AdmissionAnswer {
  readonly allowed: boolean;
  /** Why not, for the one who asked; may have several lines. */
  readonly message?: string;
  /** One line each. */
  readonly warnings?: readonly string[];
  /** RFC 6902. */
  readonly patch?: readonly object[];
}

/** Decides on the requests of one path. What it throws refuses the request. */
export type AdmissionHandler = (request: AdmissionRequest) => AdmissionAnswer | Promise<AdmissionAnswer>;

const API_VERSION = 'admission.k8s.io/v1';
const OPERATIONS: readonly unknown[] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'];
/** The API server passes on 4096 characters of warnings in all. */
const MAX_WARNINGS = 16;
const MAX_WARNING_CHARACTERS = 1_000;

/** Reads an AdmissionReview; null when it is none. */
export function readReview(body: unknown): AdmissionRequest | null {
  const { apiVersion, kind, request } = fieldsOf(body);
  if (apiVersion !== API_VERSION || kind !== 'AdmissionReview') return null;
  const fields = fieldsOf(request);
  const about = fieldsOf(fields['kind']);
  const { uid, operation, namespace = '', dryRun = false, object = null, oldObject = null } = fields;
  const words = [uid, namespace, about['group'] ?? '', about['version'], about['kind']];
  if (!words.every((word) => typeof word === 'string') || !OPERATIONS.includes(operation)) return null;
  const [id, space, group, version, name] = words as [string, string, string, string, string];
  return {
    uid: id,
    kind: { group, version, kind: name },
    operation: operation as AdmissionRequest['operation'],
    namespace: space,
    dryRun: dryRun === true,
    object,
    oldObject,
  };
}

/** The AdmissionReview that answers the request with that uid. */
export function reviewResponse(uid: string, { allowed, message, warnings = [], patch = [] }: AdmissionAnswer): object {
  const status = allowed ? {} : { status: { message: message ?? 'refused', reason: 'Forbidden', code: 403 } };
  const patched =
    patch.length === 0 ? {} : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
  const response = { uid, allowed, ...status, ...patched, warnings: warnings.slice(0, MAX_WARNINGS).map(asHeader) };
  return { apiVersion: API_VERSION, kind: 'AdmissionReview', response };
}

/** A warning travels in a header: a control character in it, and the API server drops it. */
function asHeader(warning: string): string {
  const line = warning.replace(/\p{Cc}+/gu, ' ');
  return line.length > MAX_WARNING_CHARACTERS ? `${line.slice(0, MAX_WARNING_CHARACTERS)}…` : line;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
