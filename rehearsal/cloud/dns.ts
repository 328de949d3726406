/** A DNS server on loopback that answers, over UDP and TCP, from the hosted zones of the emulated Route 53. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { ListHostedZonesCommand, ListResourceRecordSetsCommand, Route53Client } from '@aws-sdk/client-route-53';
import dnsPacket, { type Answer, type DecodedPacket, type RecordType } from 'dns-packet';
import type { CloudEvent, Interceptor } from './contract.ts';
import { answerQuestion, type RecordSet, type Zone } from './dns-answer.ts';
import type { MotoEndpoint } from './ec2-query.ts';
import { backgroundWork } from './hosts-context.ts';
import { clientConfig } from './hosts.ts';

export interface DnsOptions {
  readonly moto: MotoEndpoint;
  use(interceptor: Interceptor): void;
  onEvent(event: CloudEvent): void;
  readonly address: string;
  /** 0 or left out: an ephemeral one. */
  readonly port?: number;
  /** From a change of records to answers that show it. 0 by default; Route 53 takes up to 60 s. */
  readonly propagationMs?: number;
}

export interface DnsServer {
  readonly address: string;
  readonly port: number;
  /** Reads all zones now. Needed only after records were changed past the gateway (by moto's own CloudFormation). */
  refresh(): Promise<void>;
  failures(): readonly Error[];
  /** Can be called twice. */
  stop(): Promise<void>;
}

const UDP_LIMIT = 512; // RFC 1035 §4.2.1, without EDNS

const normal = (name: string): string => (name.endsWith('.') ? name : `${name}.`).toLowerCase();

async function recordsOf(route53: Route53Client, zoneId: string): Promise<RecordSet[]> {
  const records: RecordSet[] = [];
  let from: { StartRecordName?: string; StartRecordType?: 'A'; StartRecordIdentifier?: string } = {};
  for (;;) {
    const page = await route53.send(new ListResourceRecordSetsCommand({ HostedZoneId: zoneId, ...from }));
    for (const set of page.ResourceRecordSets ?? []) {
      records.push({
        name: normal(set.Name ?? ''),
        type: set.Type ?? '',
        ttlSeconds: set.TTL ?? 0,
        values: (set.ResourceRecords ?? []).map((r) => r.Value ?? ''),
      });
    }
    if (page.IsTruncated !== true) return records;
    from = {
      StartRecordName: page.NextRecordName ?? '',
      StartRecordType: page.NextRecordType as 'A',
      ...(page.NextRecordIdentifier === undefined ? {} : { StartRecordIdentifier: page.NextRecordIdentifier }),
    };
  }
}

async function readZones(route53: Route53Client): Promise<Zone[]> {
  const zones: Zone[] = [];
  let marker: string | undefined;
  do {
    const page = await route53.send(new ListHostedZonesCommand(marker === undefined ? {} : { Marker: marker }));
    for (const zone of page.HostedZones ?? []) {
      zones.push({ name: normal(zone.Name ?? ''), records: await recordsOf(route53, zone.Id ?? '') });
    }
    marker = page.IsTruncated === true ? page.NextMarker : undefined;
  } while (marker !== undefined);
  return zones;
}

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
function reply(zones: readonly Zone[], query: DecodedPacket, limit: number | null): Buffer | null {
  const question = query.questions?.[0];
  if (question === undefined || query.type !== 'query') return null;
  const answer = answerQuestion(zones, { name: question.name, type: question.type });
  const recursionDesired = (query.flags ?? 0) & dnsPacket.RECURSION_DESIRED;
  const flags =
    (answer.authoritative ? dnsPacket.AUTHORITATIVE_ANSWER : 0) | recursionDesired | RCODES[answer.rcode];
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

function udpLimit(query: DecodedPacket): number {
  const edns = query.additionals?.find((a) => a.type === 'OPT') as { udpPayloadSize?: number } | undefined;
  return Math.max(UDP_LIMIT, edns?.udpPayloadSize ?? UDP_LIMIT);
}

/** Null for bytes that are no DNS message: those are dropped, as every server does. */
function decode(bytes: Buffer): DecodedPacket | null {
  try {
    return dnsPacket.decode(bytes);
  } catch {
    return null;
  }
}

function serveTcp(socket: TcpSocket, zones: () => readonly Zone[]): void {
  let buffered = Buffer.alloc(0);
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    // Each message follows its length in two bytes: RFC 1035 §4.2.2.
    while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
      const end = 2 + buffered.readUInt16BE(0);
      const query = decode(buffered.subarray(2, end));
      buffered = buffered.subarray(end);
      const answer = query === null ? null : reply(zones(), query, null);
      if (answer === null) return void socket.destroy();
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    }
  });
}

async function listen(udp: Socket, tcp: Server, address: string, port: number): Promise<number> {
  const bound = await new Promise<number>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(port, address, () => resolve((tcp.address() as AddressInfo).port));
  });
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject);
    udp.bind(bound, address, () => resolve());
  });
  return bound;
}

/** Starts the server; records change as soon as the gateway sees ChangeResourceRecordSets succeed. */
export async function createDns(options: DnsOptions): Promise<DnsServer> {
  const route53 = new Route53Client(clientConfig(options.moto));
  const work = backgroundWork((what, error) => tell(`${what} failed: ${error.message}`));
  let zones: readonly Zone[] = await readZones(route53);
  function tell(what: string): void {
    options.onEvent({ atMs: Date.now(), kind: 'dns', what });
  }
  let line: Promise<void> = Promise.resolve();
  /** One after another: an older reading must not overwrite a newer one. */
  const refresh = (): Promise<void> => {
    line = line.catch(() => undefined).then(async () => {
      zones = await readZones(route53);
    });
    return line;
  };
  const sockets = new Set<TcpSocket>();
  const udp = createSocket('udp4');
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serveTcp(socket, () => zones);
  });
  udp.on('message', (bytes, peer) => {
    const query = decode(bytes);
    const answer = query === null ? null : reply(zones, query, udpLimit(query));
    if (answer !== null) udp.send(answer, peer.port, peer.address);
  });
  const port = await listen(udp, tcp, options.address, options.port ?? 0);

  const propagationMs = options.propagationMs ?? 0;
  for (const operation of ['ChangeResourceRecordSets', 'CreateHostedZone', 'DeleteHostedZone']) {
    options.use({
      service: 'route53',
      operation,
      async after(_request, response) {
        if (response.status >= 300) return undefined;
        const show = async (): Promise<void> => {
          await refresh();
          tell(`zones read again after ${operation}`);
        };
        if (propagationMs === 0) await show();
        else {
          work.inBackground('DNS propagation', async () => {
            if (await work.wait(propagationMs)) await show();
          });
        }
        return undefined;
      },
    });
  }
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await work.stop();
    for (const socket of sockets) socket.destroy();
    await Promise.all([
      new Promise<void>((resolve) => udp.close(() => resolve())),
      new Promise<void>((resolve) => tcp.close(() => resolve())),
    ]);
    route53.destroy();
  };
  return { address: options.address, port, refresh, failures: () => work.failures(), stop: () => (stopping ??= stop()) };
}
