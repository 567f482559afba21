/** The members of Kubernetes' ObjectMeta (meta/v1) that Portcullis reads or writes. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** RFC 3339. */
  readonly creationTimestamp?: string;
  /** RFC 3339; present while the object is being deleted. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
}

/** Kubernetes' OwnerReference (meta/v1). */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** Any Kubernetes object. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** One resource of the API: where its objects are found. */
export interface ResourceType<T extends KubeObject> {
  /** `v1` or `group/version`. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never set: carries the type of the objects. */
  readonly object?: T;
}

/** Which object; `namespace` is absent for cluster-scoped ones. */
export interface ObjectKey {
  readonly namespace?: string;
  readonly name: string;
}

/** Kubernetes' Condition (meta/v1). */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

/** core/v1 Namespace. */
export type Namespace = KubeObject;

/** core/v1 Node, as much as tells whether it is Ready. */
export interface Node extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** core/v1 Secret. */
export interface Secret extends KubeObject {
  readonly type?: string;
  readonly immutable?: boolean;
  /** Values in base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** core/v1 ConfigMap. */
export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** core/v1 ServicePort. */
export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly protocol?: string;
  readonly appProtocol?: string;
  readonly targetPort?: number | string;
}

/** core/v1 Service. */
export interface Service extends KubeObject {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly ServicePort[];
  };
}

/** core/v1 ContainerPort. */
export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol?: string;
  readonly hostPort?: number;
  readonly hostIP?: string;
}

/** core/v1 Probe, as much as is rewritten; other members are kept as they are. */
export interface Probe {
  readonly httpGet?: {
    readonly path?: string;
    readonly port: number | string;
    readonly host?: string;
    readonly scheme?: string;
    readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
  };
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string };
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly exec?: { readonly command?: readonly string[] };
  readonly [member: string]: unknown;
}

/** core/v1 Container, as much as injection looks at; other members are kept as they are. */
export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly restartPolicy?: string;
  readonly ports?: readonly ContainerPort[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly [member: string]: unknown;
  }[];
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: unknown; readonly postStart?: unknown; readonly [member: string]: unknown };
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly [member: string]: unknown;
}

/** core/v1 ContainerStatus, as much as tells whether it runs. */
export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly started?: boolean;
  readonly restartCount?: number;
  readonly state?: {
    readonly running?: object;
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly terminated?: { readonly exitCode?: number; readonly reason?: string };
  };
}

/** core/v1 Pod; members of spec that are not named here are kept as they are. */
export interface Pod extends KubeObject {
  readonly spec?: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly volumes?: readonly { readonly name: string; readonly [member: string]: unknown }[];
    readonly hostNetwork?: boolean;
    readonly nodeName?: string;
    readonly terminationGracePeriodSeconds?: number;
    readonly securityContext?: Readonly<Record<string, unknown>>;
    readonly [member: string]: unknown;
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly PodCondition[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

/** core/v1 PodCondition. */
export interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

/** The core/v1 resources in use. */
export const CONFIG_MAPS: ResourceType<ConfigMap> = core('ConfigMap', 'configmaps', true);
export const NAMESPACES: ResourceType<Namespace> = core('Namespace', 'namespaces', false);
export const NODES: ResourceType<Node> = core('Node', 'nodes', false);
export const PODS: ResourceType<Pod> = core('Pod', 'pods', true);
export const SECRETS: ResourceType<Secret> = core('Secret', 'secrets', true);
export const SERVICES: ResourceType<Service> = core('Service', 'services', true);

function core<T extends KubeObject>(kind: string, plural: string, namespaced: boolean): ResourceType<T> {
  return { apiVersion: 'v1', kind, plural, namespaced };
}
