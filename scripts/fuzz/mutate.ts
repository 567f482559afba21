import type { Random } from '../../policy/evaluate/testing/random-below.ts';

/** One of a list. */
export function pick<T>(list: readonly T[], random: Random): T {
  return list[random(list.length)] as T;
}

/** A text with up to `most` edits: a piece put in, in place of up to three characters; or a part of the text doubled. */
export function mutateText(text: string, pieces: readonly string[], most: number, random: Random): string {
  let mutated = text;
  for (let edits = random(most + 1); edits > 0; edits--) {
    const at = random(mutated.length + 1);
    const piece = random(8) === 0 ? mutated.slice(at, at + random(24)) : pick(pieces, random);
    mutated = mutated.slice(0, at) + piece + mutated.slice(at + random(4));
  }
  return mutated;
}

/** Octets as a string with a character each. */
export function randomOctets(most: number, random: Random): string {
  return String.fromCharCode(...Array.from({ length: random(most) }, () => random(256)));
}

type Parent = Record<string | number, unknown>;

/** Changes, takes away, doubles or moves up to `most` members of a JSON document in place. `values` come in for what stood there. */
export function mutateDocument(
  document: unknown,
  names: readonly string[],
  values: readonly unknown[],
  pieces: readonly string[],
  most: number,
  random: Random,
): void {
  for (let edits = random(most + 1); edits > 0; edits--) {
    const places = placesOf(document);
    if (places.length === 0) return;
    const [parent, name] = pick(places, random);
    const old = parent[name];
    switch (random(6)) {
      case 0:
        if (Array.isArray(parent)) parent.splice(Number(name), 1);
        else delete parent[name];
        break;
      case 1:
        if (Array.isArray(parent)) parent.push(structuredClone(old));
        else parent[pick(names, random)] = structuredClone(old);
        break;
      case 2: {
        const [other, there] = pick(places, random);
        parent[name] = structuredClone(other[there]);
        break;
      }
      case 3:
        parent[name] = structuredClone(pick(values, random));
        break;
      default:
        parent[name] =
          typeof old === 'string' ? mutateText(old, pieces, 3, random) : structuredClone(pick(values, random));
    }
  }
}

function placesOf(value: unknown): [Parent, string | number][] {
  if (typeof value !== 'object' || value === null) return [];
  const names = Array.isArray(value) ? value.map((_, index) => index) : Object.keys(value);
  return names.flatMap(
    (name) => [[value as Parent, name], ...placesOf((value as Parent)[name])] as [Parent, string | number][],
  );
}
