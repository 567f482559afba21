import type { ObjectCache } from '../kube/kube-client.ts';
import type { ObjectKey, Secret } from '../kube/objects.ts';
import { holdsServerCertificate, readServerCertificate, type ServerCertificate } from './certificates-secret.ts';

/**
 * Hands over the certificate in the Secret of that key now and whenever it changes, whoever writes it. A Secret that is gone,
 * or holds none yet, changes nothing, nor does a damaged one, of which `onDamaged` is told: what was handed over last serves
 * on. Returns what ends it.
 */
export function watchServerCertificate(
  cache: ObjectCache<Secret>,
  key: ObjectKey,
  use: (certificate: ServerCertificate) => void,
  onDamaged: () => void,
): () => void {
  let used = '';
  const look = (secret: Secret | undefined): void => {
    if (secret === undefined || !holdsServerCertificate(secret)) return;
    const certificate = readServerCertificate(secret);
    if (certificate === null) onDamaged();
    else if (certificate.certificate !== used) {
      used = certificate.certificate;
      use(certificate);
    }
  };
  look(cache.get(key));
  return cache.onChange((now) => {
    if (now?.metadata.name === key.name && now.metadata.namespace === key.namespace) look(now);
  });
}
