/** A DNS server on loopback that answers, over UDP and TCP, from the hosted zones of the emulated Route 53. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { ListHostedZonesCommand, ListResourceRecordSetsCommand, Route53Client } from '@aws-sdk/client-route-53';
import type { CloudEvent, Interceptor } from './contract.ts';
import type { RecordSet, Zone } from './dns-answer.ts';
import { decode, reply, udpLimit } from './dns-wire.ts';
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
  /** One after another: an older reading must not overwrite a newer one. Shown after the delay, as it was read. */
  const read = (delayMs: number): Promise<void> => {
    line = line
      .catch(() => undefined)
      .then(async () => {
        const next = await readZones(route53);
        if (delayMs === 0) {
          zones = next;
          return;
        }
        work.inBackground('DNS propagation', async () => {
          if (await work.wait(delayMs)) zones = next;
        });
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
        await read(propagationMs);
        tell(`zones read again after ${operation}`);
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
  return {
    address: options.address,
    port,
    refresh: () => read(0),
    failures: () => work.failures(),
    stop: () => (stopping ??= stop()),
  };
}
