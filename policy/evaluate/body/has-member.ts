/** Whether any object in a JSON value, at any depth, has a member whose name is sought. */
export function hasMember(value: unknown, isSought: (name: string) => boolean): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some((item) => hasMember(item, isSought));
  return Object.entries(value).some(([name, member]) => isSought(name) || hasMember(member, isSought));
}
