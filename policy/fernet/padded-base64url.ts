/** Base64url with padding (RFC 4648 §5), as Fernet writes keys and tokens. */
export function encodePaddedBase64Url(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** The bytes of canonical base64url with padding; null for every other spelling of them. */
export function decodePaddedBase64Url(text: string): Buffer | null {
  // Buffer.from passes over what it does not know; only the canonical spelling comes back as it was.
  const bytes = Buffer.from(text, 'base64url');
  return encodePaddedBase64Url(bytes) === text ? bytes : null;
}
