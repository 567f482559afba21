import { createHash } from 'node:crypto';
import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import type { CandidateNames } from '../../runtime/sidecar-arguments.ts';
import type { Capture } from '../config.ts';
import type { Pod } from '../kube/objects.ts';

/** What was injected into a pod, as its annotation `portcullis.dev/injected` says in JSON. Its writer may be anybody who can create pods. */
export interface Injected {
  readonly accessPolicy: string;
  readonly rateLimitPolicy: string | null;
  /** Absent: no policy is only tried. */
  readonly candidates?: CandidateNames;
  readonly capture: Capture;
  readonly issueTokens: boolean;
  /** With the certificate that the sidecar shows; null: it speaks plain HTTP. */
  readonly tlsSecret: string | null;
  /** Application ports and where the sidecar listens for each. */
  readonly ports: readonly { readonly port: number; readonly name: string | null; readonly listen: number }[];
  readonly adminPort: number;
  /** First 16 hex digits of the SHA-256 of the bundle key (SPKI DER) that the sidecar believes. */
  readonly bundleKey: string;
  /** The sidecar's image. */
  readonly image: string;
  /** Reasons for which the pod refuses all traffic. */
  readonly refuse: readonly string[];
}

/** Whether a pod has a container with the sidecar's name, whoever put it there. */
export function hasSidecar({ spec }: Pod): boolean {
  return spec?.initContainers?.some(({ name }) => name === SIDECAR_CONTAINER) ?? false;
}

/** How `Injected.bundleKey` names a key, given as SPKI DER in base64. */
export function bundleKeyFingerprint(bundleKey: string): string {
  return createHash('sha256').update(Buffer.from(bundleKey, 'base64')).digest('hex').slice(0, 16);
}
