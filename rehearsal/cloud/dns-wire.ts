/** DNS messages: from record sets as Route 53 writes them to the bytes of an answer. Source: RFC 1035. */
import dnsPacket, { type Answer, type DecodedPacket, type RecordType } from 'dns-packet';
import { answerQuestion, type RecordSet, type Zone } from './dns-answer.ts';

const UDP_LIMIT = 512; // RFC 1035 §4.2.1, without EDNS

/** `"a" "b"` is one record of two strings; a backslash escapes a quote. */
const txtStrings = (value: string): string[] =>
  [...value.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((m) => m[1]!.replace(/\\(.)/g, '$1'));

const bare = (name: string): string => name.replace(/\.$/, '');

function dataOf(type: string, value: string): unknown {
  const fields = value.trim().split(/\s+/);
  switch (type) {
    case 'TXT':
      return txtStrings(value);
    case 'SRV':
      return { priority: +fields[0]!, weight: +fields[1]!, port: +fields[2]!, target: bare(fields[3] ?? '') };
    case 'MX':
      return { preference: +fields[0]!, exchange: bare(fields[1] ?? '') };
    case 'SOA': {
      const [mname, rname, serial, refresh, retry, expire, minimum] = fields;
      return {
        mname: bare(mname ?? ''),
        rname: bare(rname ?? ''),
        serial: Number(serial),
        refresh: Number(refresh),
        retry: Number(retry),
        expire: Number(expire),
        minimum: Number(minimum),
      };
    }
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return bare(value);
    default:
      return value;
  }
}

const SERVED = new Set(['A', 'AAAA', 'TXT', 'SRV', 'MX', 'SOA', 'CNAME', 'NS', 'PTR']);

const wire = (sets: readonly RecordSet[]): Answer[] =>
  sets
    .filter((set) => SERVED.has(set.type))
    .flatMap((set) =>
      set.values.map(
        (value) =>
          ({
            type: set.type as RecordType,
            class: 'IN',
            name: bare(set.name),
            ttl: set.ttlSeconds,
            data: dataOf(set.type, value),
          }) as Answer,
      ),
    );

/** RCODE in the low four bits of the flags: RFC 1035 §4.1.1. */
const RCODES = { NOERROR: 0, NXDOMAIN: 3, REFUSED: 5 } as const;

/** The reply to one packet, or null for one that asks nothing. `limit`: bytes that the way back can carry. */
export function reply(zones: readonly Zone[], query: DecodedPacket, limit: number | null): Buffer | null {
  const question = query.questions?.[0];
  if (question === undefined || query.type !== 'query') return null;
  const answer = answerQuestion(zones, { name: question.name, type: question.type });
  const recursionDesired = (query.flags ?? 0) & dnsPacket.RECURSION_DESIRED;
  const flags = (answer.authoritative ? dnsPacket.AUTHORITATIVE_ANSWER : 0) | recursionDesired | RCODES[answer.rcode];
  const packet = {
    type: 'response' as const,
    id: query.id ?? 0,
    questions: [question],
  };
  const full = dnsPacket.encode({
    ...packet,
    flags,
    answers: wire(answer.answers),
    authorities: wire(answer.authorities),
  });
  if (limit === null || full.length <= limit) return full;
  // The asker comes again over TCP.
  return dnsPacket.encode({ ...packet, flags: flags | dnsPacket.TRUNCATED_RESPONSE });
}

/** Bytes that the asker takes over UDP. */
export function udpLimit(query: DecodedPacket): number {
  const edns = query.additionals?.find((a) => a.type === 'OPT') as { udpPayloadSize?: number } | undefined;
  return Math.max(UDP_LIMIT, edns?.udpPayloadSize ?? UDP_LIMIT);
}

/** Null for bytes that are no DNS message: those are dropped, as every server does. */
export function decode(bytes: Buffer): DecodedPacket | null {
  try {
    return dnsPacket.decode(bytes);
  } catch {
    return null;
  }
}
