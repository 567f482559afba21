import type { Capture } from '../config.ts';
import type { Namespace, Service } from '../kube/objects.ts';
import { readAnnotations } from './coverage-annotations.ts';
import { headlessInTakeover, isHeadless, isHttp, numericTargetPort, targetOf } from './coverage-ports.ts';
import { guardsNothingAlone, namespacePolicy, refusedOptOuts, resolveSettings } from './coverage-settings.ts';
import { TLS_ALONE } from './coverage-tls.ts';

/**
 * What is wrong with a Service that asks for protection, as sentences for who applies it: before a pod exists to show it. Empty: nothing
 * is, or nobody asks.
 */
export function serviceWarnings(service: Service, namespace: Namespace, defaultCapture: Capture): string[] {
  const { name } = service.metadata;
  const required = namespacePolicy(namespace).word === 'Required';
  const nobody = readAnnotations('the pod');
  const asked = readAnnotations(`Service ${name}`, service.metadata.annotations);
  const ofNamespace = readAnnotations(`namespace ${namespace.metadata.name}`, namespace.metadata.annotations);
  const { settings, warnings } = resolveSettings(nobody, [asked], ofNamespace, required);
  const all = [...asked.warnings, ...warnings];
  if (asked.optOut && !required) return all;
  if (required) all.push(...refusedOptOuts([asked], ofNamespace));

  if (settings.accessPolicy === undefined) {
    const alone = guardsNothingAlone(asked.settings);
    if (alone !== null) all.push(alone);
    if (asked.settings.tlsSecret !== undefined || asked.tlsIssuer !== null) all.push(TLS_ALONE);
    return all;
  }
  const { type, selector, ports = [] } = service.spec ?? {};
  if (type === 'ExternalName' || Object.keys(selector ?? {}).length === 0) {
    if (asked.settings.accessPolicy !== undefined)
      all.push(`Service ${name} selects no pods, so there is nothing to guard: give it a selector`);
    return all;
  }
  if ((settings.capture ?? defaultCapture) === 'Bind') return all;
  if (isHeadless(service)) all.push(headlessInTakeover(service));
  const skips = new Set([...(required ? [] : asked.skipPorts), ...ofNamespace.skipPorts]);
  for (const port of ports) {
    const target = targetOf(port);
    if (typeof target === 'number' && isHttp(port) && !skips.has(String(target)))
      all.push(numericTargetPort(service, port, undefined));
  }
  return all;
}
