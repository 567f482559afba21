/** To whom keys are encrypted before anyone may use them. */
export type Recipients =
  | { readonly kind: 'Off' }
  /** `message`: which recipient cannot be used, why, and what to do. */
  | { readonly kind: 'Unusable'; readonly message: string }
  | UsableRecipients;

/** Recipients that can be encrypted to. */
export interface UsableRecipients {
  readonly kind: 'Usable';
  /** OpenPGP fingerprints (RFC 9580 §5.5.4) in hexadecimal, sorted. */
  readonly fingerprints: readonly string[];
  /** An armoured OpenPGP message that each recipient can read. */
  encrypt(text: string): Promise<string>;
}
