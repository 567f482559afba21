/**
 * A Fernet token in base64 once more (RFC 4648 §4), as `base64.b64encode(f.encrypt(data))` leaves it. Base64 of ASCII has
 * neither `+` nor `/`, so that base64url would be the same.
 */
export function encodeDoubleBase64(token: string): string {
  return Buffer.from(token, 'latin1').toString('base64');
}

/** The token in such a text; null when it is not canonical base64 with padding. */
export function decodeDoubleBase64(text: string): string | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes.toString('latin1') : null;
}
