/** The query protocol's flattened parameters (`Filter.1.Value.2`), folded back into lists and structures. */

type Node = Map<string, Node | string>;

const isIndex = (key: string): boolean => /^[1-9]\d*$/.test(key);

function insert(root: Node, path: readonly string[], value: string): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    root.set(head, value);
    return;
  }
  const present = root.get(head);
  const child: Node = present instanceof Map ? present : new Map<string, Node | string>();
  root.set(head, child);
  insert(child, rest, value);
}

function fold(node: Node | string): unknown {
  if (typeof node === 'string') return node;
  const only = node.size === 1 ? [...node.keys()][0] : undefined;
  // `Names.member.1` is how the query protocol writes a list, `Attributes.entry.1.key` how it writes a map.
  if (only === 'member') return fold(node.get('member')!);
  if (only === 'entry') return foldEntries(node.get('entry')!);
  const keys = [...node.keys()];
  if (keys.length > 0 && keys.every(isIndex)) {
    return keys.sort((a, b) => Number(a) - Number(b)).map((key) => fold(node.get(key)!));
  }
  return Object.fromEntries([...node].map(([key, value]) => [key, fold(value)]));
}

function foldEntries(entries: Node | string): unknown {
  const folded = fold(entries);
  if (!Array.isArray(folded)) return folded;
  return Object.fromEntries(
    (folded as Record<string, unknown>[]).map((entry) => [
      String(entry['key'] ?? entry['Name']),
      entry['value'] ?? entry['Value'],
    ]),
  );
}

/** `InstanceId.1=a&InstanceId.2=b` becomes `{ InstanceId: ['a', 'b'] }`; names stay as they are on the wire. */
export function parseForm(form: URLSearchParams): Record<string, unknown> {
  const root: Node = new Map();
  for (const [key, value] of form) insert(root, key.split('.'), value);
  return Object.fromEntries([...root].map(([key, value]) => [key, fold(value)]));
}
