/** The DNS server: what a resolver is told about the emulated Route 53's zones. */
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import {
  ChangeResourceRecordSetsCommand,
  CreateHostedZoneCommand,
  Route53Client,
  type Change,
} from '@aws-sdk/client-route-53';
import dnsPacket from 'dns-packet';
import { createSocket } from 'node:dgram';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerQuestion, type Zone } from '../../rehearsal/cloud/dns-answer.ts';
import { createDns, type DnsServer } from '../../rehearsal/cloud/dns.ts';
import { startMiniCloud, until, type MiniCloud } from './hosts-harness.ts';

let cloud: MiniCloud;
let dns: DnsServer;
let slow: DnsServer;
let route53: Route53Client;
let zoneId: string;
let resolver: Resolver;
const PROPAGATION_MS = 600;

beforeAll(async () => {
  cloud = await startMiniCloud();
  const options = {
    moto: cloud.moto,
    use: (i: Parameters<MiniCloud['use']>[0]) => cloud.use(i),
    onEvent: (e: Parameters<MiniCloud['onEvent']>[0]) => cloud.onEvent(e),
    address: '127.208.0.53',
  };
  dns = await createDns(options);
  slow = await createDns({ ...options, propagationMs: PROPAGATION_MS });
  route53 = new Route53Client(cloud.config);
  const made = await route53.send(
    new CreateHostedZoneCommand({ Name: 'db.example.internal', CallerReference: 'test' }),
  );
  zoneId = made.HostedZone!.Id!;
  resolver = new Resolver({ timeout: 1000, tries: 1 });
  resolver.setServers([`${dns.address}:${dns.port}`]);
});

afterAll(async () => {
  await dns.stop();
  await dns.stop();
  await slow.stop();
  expect([...dns.failures(), ...slow.failures()]).toEqual([]);
  await cloud.stop();
});

const upsert = (name: string, type: string, ttl: number, ...values: string[]): Change => ({
  Action: 'UPSERT',
  ResourceRecordSet: {
    Name: `${name}.db.example.internal.`,
    Type: type as 'A',
    TTL: ttl,
    ResourceRecords: values.map((Value) => ({ Value })),
  },
});
const change = (...Changes: Change[]) =>
  route53.send(new ChangeResourceRecordSetsCommand({ HostedZoneId: zoneId, ChangeBatch: { Changes } }));

/** One question over UDP, answered as a packet. */
async function ask(server: DnsServer, name: string, type: 'A' | 'TXT' | 'SOA'): Promise<dnsPacket.DecodedPacket> {
  const socket = createSocket('udp4');
  try {
    return await new Promise((resolve, reject) => {
      socket.once('message', (bytes) => resolve(dnsPacket.decode(bytes)));
      socket.once('error', reject);
      const bytes = dnsPacket.encode({
        type: 'query',
        id: 7,
        flags: dnsPacket.RECURSION_DESIRED,
        questions: [{ name, type }],
      });
      socket.send(bytes, server.port, server.address);
    });
  } finally {
    socket.close();
  }
}

describe('an answer', () => {
  it('is what Route 53 was told last, with its TTL and the authoritative flag', async () => {
    await change(upsert('orders', 'A', 5, '127.208.16.4'));
    expect(await resolver.resolve4('orders.db.example.internal', { ttl: true })).toEqual([
      { address: '127.208.16.4', ttl: 5 },
    ]);
    await change(upsert('orders', 'A', 7, '127.208.16.9'));
    expect(await resolver.resolve4('ORDERS.db.example.internal', { ttl: true })).toEqual([
      { address: '127.208.16.9', ttl: 7 },
    ]);
    const packet = await ask(dns, 'orders.db.example.internal', 'A');
    expect(packet).toMatchObject({ id: 7, flag_aa: true, flag_tc: false, rcode: 'NOERROR' });
  });

  it('knows TXT, SRV, CNAME, NS and SOA', async () => {
    await change(
      upsert('_rejoin.orders', 'TXT', 5, '"rejoin cluster=orders"'),
      upsert('_mysql._tcp', 'SRV', 5, '10 20 3306 orders.db.example.internal.'),
      upsert('shop', 'CNAME', 5, 'orders.db.example.internal.'),
      upsert('orders', 'A', 5, '127.208.16.4'),
    );
    expect(await resolver.resolveTxt('_rejoin.orders.db.example.internal')).toEqual([['rejoin cluster=orders']]);
    expect(await resolver.resolveSrv('_mysql._tcp.db.example.internal')).toMatchObject([
      { priority: 10, weight: 20, port: 3306, name: 'orders.db.example.internal' },
    ]);
    expect(await resolver.resolve4('shop.db.example.internal')).toEqual(['127.208.16.4']);
    expect((await resolver.resolveNs('db.example.internal')).length).toBeGreaterThan(0);
    expect((await resolver.resolveSoa('db.example.internal')).minttl).toBeGreaterThan(0);
  });

  it('says NXDOMAIN for a name that is not, no data for a type that is not, and refuses other zones', async () => {
    await change(upsert('orders', 'A', 5, '127.208.16.4'));
    await expect(resolver.resolve4('nobody.db.example.internal')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(resolver.resolveTxt('orders.db.example.internal')).rejects.toMatchObject({ code: 'ENODATA' });
    const nothing = await ask(dns, 'nobody.db.example.internal', 'A');
    expect(nothing.authorities).toMatchObject([{ type: 'SOA', name: 'db.example.internal' }]);
    expect(await ask(dns, 'www.example.com', 'A')).toMatchObject({ rcode: 'REFUSED', flag_aa: false });
  });

  it('disappears with its record', async () => {
    const record = upsert('gone', 'A', 5, '127.208.16.5');
    await change(record);
    expect(await resolver.resolve4('gone.db.example.internal')).toEqual(['127.208.16.5']);
    await change({ ...record, Action: 'DELETE' });
    await expect(resolver.resolve4('gone.db.example.internal')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });

  it('that is too long for UDP is cut there, and whole over TCP', async () => {
    const many = Array.from({ length: 60 }, (_, i) => `127.208.1.${i + 1}`);
    await change(upsert('many', 'A', 5, ...many));
    const packet = await ask(dns, 'many.db.example.internal', 'A');
    expect(packet).toMatchObject({ flag_tc: true, answers: [] });
    const whole = await new Promise<dnsPacket.DecodedPacket>((resolve, reject) => {
      const socket = connect(dns.port, dns.address);
      let bytes = Buffer.alloc(0);
      socket.once('error', reject);
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (bytes.length < 2 || bytes.length < 2 + bytes.readUInt16BE(0)) return;
        socket.destroy();
        resolve(dnsPacket.decode(bytes.subarray(2)));
      });
      const query = dnsPacket.streamEncode({
        type: 'query',
        id: 9,
        questions: [{ name: 'many.db.example.internal', type: 'A' }],
      });
      // In two pieces, as TCP may deliver it.
      socket.write(query.subarray(0, 5));
      socket.write(query.subarray(5));
    });
    expect(whole.answers).toHaveLength(60);
  });

  it('shows a change only after the propagation delay, when one is set', async () => {
    const slowly = new Resolver({ timeout: 1000, tries: 1 });
    slowly.setServers([`${slow.address}:${slow.port}`]);
    await change(upsert('slow', 'A', 5, '127.208.16.6'));
    const changedMs = Date.now();
    await until('the slow server shows it', () =>
      slowly.resolve4('slow.db.example.internal').then(
        () => true,
        () => false,
      ),
    );
    expect(Date.now() - changedMs).toBeGreaterThan(PROPAGATION_MS / 2);
    expect(await resolver.resolve4('slow.db.example.internal')).toEqual(['127.208.16.6']);
  });

  it('to bytes that are no DNS message is none, and the server lives on', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.send(Buffer.from('hello'), dns.port, dns.address, () => resolve()));
    socket.close();
    expect(await ask(dns, 'db.example.internal', 'SOA')).toMatchObject({ rcode: 'NOERROR' });
  });
});

describe('the algorithm', () => {
  const record = (name: string, type: string, ...values: string[]) => ({ name, type, ttlSeconds: 60, values });
  const zones: Zone[] = [
    {
      name: 'x.',
      records: [
        record('x.', 'SOA', 'ns.x. host.x. 1 7200 900 1209600 30'),
        record('*.w.x.', 'A', '127.0.0.9'),
        record('b.w.x.', 'TXT', '"here"'),
        record('a.b.x.', 'A', '127.0.0.1'),
        record('loop.x.', 'CNAME', 'loop.x.'),
        record('out.x.', 'CNAME', 'elsewhere.example.'),
      ],
    },
    { name: 'sub.x.', records: [record('n.sub.x.', 'A', '127.0.0.2')] },
  ];
  it.each<[string, string, string, string, string[]]>([
    ['a wildcard covers what is not there', 'q.w.x', 'A', 'NOERROR', ['127.0.0.9']],
    ['a wildcard gives way to a name that is there', 'b.w.x', 'A', 'NOERROR', []],
    ['a name above another exists, without data', 'b.x', 'A', 'NOERROR', []],
    ['a name that is nowhere', 'c.x', 'A', 'NXDOMAIN', []],
    ['the longest zone answers', 'n.sub.x', 'A', 'NOERROR', ['127.0.0.2']],
    ['a chain out of the zones is left to the resolver', 'out.x', 'A', 'NOERROR', ['elsewhere.example.']],
    ['another zone', 'example.com', 'A', 'REFUSED', []],
  ])('%s', (_what, name, type, rcode, values) => {
    const answer = answerQuestion(zones, { name, type });
    expect([answer.rcode, answer.answers.flatMap((a) => a.values)]).toEqual([rcode, values]);
  });

  it('ends a loop of aliases', () => {
    expect(answerQuestion(zones, { name: 'loop.x', type: 'A' }).answers.length).toBeLessThan(10);
  });

  it('caps the life of a negative answer by the minimum of the zone', () => {
    expect(answerQuestion(zones, { name: 'c.x', type: 'A' }).authorities[0]!.ttlSeconds).toBe(30);
  });
});
