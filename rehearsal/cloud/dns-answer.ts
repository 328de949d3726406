/**
 * What an authoritative server answers, as a pure function of zones and question. Source: RFC 1034 §4.3.2 (algorithm),
 * RFC 2308 (negative answers carry the SOA, its TTL capped by the minimum field), RFC 4592 (wildcards).
 */
export interface RecordSet {
  /** Lower case, with the trailing dot. */
  readonly name: string;
  readonly type: string;
  readonly ttlSeconds: number;
  /** As Route 53 writes them: TXT in quotes, SRV in four fields. */
  readonly values: readonly string[];
}

export interface Zone {
  readonly name: string;
  readonly records: readonly RecordSet[];
}

export interface Question {
  readonly name: string;
  readonly type: string;
}

export interface DnsAnswer {
  readonly rcode: 'NOERROR' | 'NXDOMAIN' | 'REFUSED';
  readonly authoritative: boolean;
  readonly answers: readonly RecordSet[];
  readonly authorities: readonly RecordSet[];
}

const CNAME_LIMIT = 8;

const normal = (name: string): string => {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower : `${lower}.`;
};

const isIn = (name: string, zone: string): boolean => name === zone || name.endsWith(`.${zone}`) || zone === '.';

/** The longest zone that the name is in: a delegated sub-zone beats its parent. */
function zoneOf(zones: readonly Zone[], name: string): Zone | undefined {
  return zones.filter((z) => isIn(name, z.name)).sort((a, b) => b.name.length - a.name.length)[0];
}

/** A name exists when it owns records or something below it does (an empty non-terminal). */
const exists = (zone: Zone, name: string): boolean => zone.records.some((r) => isIn(r.name, name));

/** Records at the name; from the closest wildcard when the name does not exist. */
function recordsAt(zone: Zone, name: string): readonly RecordSet[] {
  if (exists(zone, name)) return zone.records.filter((r) => r.name === name);
  for (let parent = name.slice(name.indexOf('.') + 1); isIn(parent, zone.name);) {
    const wildcard = zone.records.filter((r) => r.name === `*.${parent}` || r.name === `\\052.${parent}`);
    if (wildcard.length > 0) return wildcard.map((r) => ({ ...r, name }));
    if (exists(zone, parent) || parent === zone.name) return [];
    parent = parent.slice(parent.indexOf('.') + 1);
  }
  return [];
}

function negative(zone: Zone, rcode: 'NOERROR' | 'NXDOMAIN', answers: readonly RecordSet[]): DnsAnswer {
  const soa = zone.records.filter((r) => r.type === 'SOA' && r.name === zone.name);
  const authorities = soa.map((r) => {
    const minimum = Number(r.values[0]?.split(/\s+/)[6] ?? r.ttlSeconds);
    return { ...r, ttlSeconds: Math.min(r.ttlSeconds, minimum) };
  });
  return { rcode, authoritative: true, answers, authorities };
}

/** Never throws: a name outside every zone is REFUSED. */
export function answerQuestion(zones: readonly Zone[], question: Question): DnsAnswer {
  const answers: RecordSet[] = [];
  let name = normal(question.name);
  for (let step = 0; step < CNAME_LIMIT; step++) {
    const zone = zoneOf(zones, name);
    if (zone === undefined) {
      // The end of a chain that leads out of our zones is for the resolver to follow.
      const known = answers.length > 0;
      return { rcode: known ? 'NOERROR' : 'REFUSED', authoritative: known, answers, authorities: [] };
    }
    const here = recordsAt(zone, name);
    if (here.length === 0) return negative(zone, exists(zone, name) ? 'NOERROR' : 'NXDOMAIN', answers);
    const matching = here.filter((r) => r.type === question.type || question.type === 'ANY');
    if (matching.length > 0) {
      return { rcode: 'NOERROR', authoritative: true, answers: [...answers, ...matching], authorities: [] };
    }
    const alias = here.find((r) => r.type === 'CNAME');
    const target = alias?.values[0];
    if (alias === undefined || target === undefined) return negative(zone, 'NOERROR', answers);
    answers.push(alias);
    name = normal(target);
  }
  return { rcode: 'NOERROR', authoritative: true, answers, authorities: [] };
}
