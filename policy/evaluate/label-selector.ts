/** How one label is compared (meta/v1 LabelSelectorOperator). */
export const LABEL_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** One line of a LabelSelector's matchExpressions. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: (typeof LABEL_OPERATORS)[number];
  readonly values: readonly string[];
}

/** Kubernetes' LabelSelector (meta/v1), defaults filled in. */
export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly LabelRequirement[];
}

/** Whether a selector selects what has these labels: all that it says must hold, and an empty one selects everything. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const own = new Map(Object.entries(labels));
  return (
    Object.entries(selector.matchLabels).every(([key, value]) => own.get(key) === value) &&
    selector.matchExpressions.every((requirement) => holds(requirement, own.get(requirement.key)))
  );
}

function holds({ operator, values }: LabelRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
