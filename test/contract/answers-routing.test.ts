/** Answers of Route 53 and the load balancer that moto does not give. */
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { Route53Client } from '@aws-sdk/client-route-53';
import { describe, expect, it } from 'vitest';
import { awsDnsZones } from '../../lambdas/cloud/aws-dns.ts';
import { awsTargetGroups } from '../../lambdas/cloud/aws-target-groups.ts';
import type { Answer, Recorded } from './recorded.ts';
import { useRecorded } from './recorded.ts';

const recorded = useRecorded();

describe('DnsZones', () => {
  const set = (name: string, type: string, value: string): string =>
    `<ResourceRecordSet><Name>${name}</Name><Type>${type}</Type><TTL>5</TTL><ResourceRecords><ResourceRecord>` +
    `<Value>${value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>`;
  const list = (sets: readonly string[], next?: string): Answer => ({
    body:
      `<ListResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ResourceRecordSets>` +
      `${sets.join('')}</ResourceRecordSets><IsTruncated>${String(next !== undefined)}</IsTruncated>` +
      `${next === undefined ? '' : `<NextRecordName>${next}</NextRecordName><NextRecordType>A</NextRecordType>`}` +
      `<MaxItems>20</MaxItems></ListResourceRecordSetsResponse>`,
  });
  const dnsOn = (config: Recorded['config']) => {
    const client = new Route53Client(config);
    return awsDnsZones(() => client);
  };
  const NAME = 'orders.db.test.';
  const MARK = set(`_rejoin.${NAME}`, 'TXT', '&quot;rejoin cluster=orders&quot;');

  it('takes one call, however many records follow', async () => {
    const { config, requests } = await recorded([list([set(NAME, 'A', '10.0.0.4'), MARK], 'zebra.db.test.')]);
    expect(await dnsOn(config).read('Z1', NAME)).toEqual({ values: ['10.0.0.4'], ttlSeconds: 5, owner: 'orders' });
    expect(requests).toHaveLength(1);
  });

  it('takes one call where there is no mark and nothing below the name', async () => {
    const { config, requests } = await recorded([list([set(NAME, 'A', '192.0.2.1')], 'zebra.db.test.')]);
    expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ values: ['192.0.2.1'], owner: null });
    expect(requests).toHaveLength(1);
  });

  it('asks for the mark by name when many names below crowd it out', async () => {
    const { config, requests } = await recorded([list([set(NAME, 'A', '10.0.0.4')], `07.${NAME}`), list([MARK])]);
    expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ owner: 'orders' });
    expect(requests).toHaveLength(2);
  });

  it.each([
    ['a CNAME', set(NAME, 'CNAME', 'elsewhere.test.'), 'elsewhere.test.'],
    [
      'an alias',
      `<ResourceRecordSet><Name>${NAME}</Name><Type>A</Type><AliasTarget><HostedZoneId>Z2</HostedZoneId>` +
        `<DNSName>nlb.test.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>`,
      'nlb.test.',
    ],
  ])('%s at the name is seen as somebody’s record', async (_what, record, value) => {
    const { config } = await recorded([list([record])]);
    expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ values: [value], owner: null });
  });

  it.each(['&quot;v=spf1 -all&quot;', '&quot;rejoin cluster=&quot;', '&quot;rejoin cluster=orders; drop&quot;'])(
    'a text that is not our mark (%s) names no owner',
    async (text) => {
      const { config } = await recorded([list([set(NAME, 'A', '10.0.0.4'), set(`_rejoin.${NAME}`, 'TXT', text)])]);
      expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ owner: null });
    },
  );
});

describe('TargetGroups', () => {
  const health = (state: string): Answer => ({
    body:
      `<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">` +
      `<DescribeTargetHealthResult><TargetHealthDescriptions><member><Target><Id>i-1</Id><Port>3306</Port></Target>` +
      `<TargetHealth><State>${state}</State></TargetHealth></member></TargetHealthDescriptions>` +
      `</DescribeTargetHealthResult></DescribeTargetHealthResponse>`,
  });

  it.each([
    ['initial', 'initial'],
    ['healthy', 'healthy'],
    ['unhealthy', 'unhealthy'],
    ['unhealthy.draining', 'unhealthy'],
    ['unused', 'unused'],
    ['draining', 'draining'],
    ['unavailable', 'unavailable'],
  ])('health %s is %s', async (state, expected) => {
    const { config } = await recorded([health(state)]);
    const client = new ElasticLoadBalancingV2Client(config);
    expect(await awsTargetGroups(() => client).health('arn')).toEqual([{ id: 'i-1', port: 3306, state: expected }]);
  });

  it('a health that is not documented is an error, never taken for healthy', async () => {
    const { config } = await recorded([health('splendid')]);
    const client = new ElasticLoadBalancingV2Client(config);
    await expect(awsTargetGroups(() => client).health('arn')).rejects.toThrow(/i-1 is "splendid"/);
  });
});
