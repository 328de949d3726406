import type { ResourceRecordSet, Route53Client } from '@aws-sdk/client-route-53';
import { ChangeResourceRecordSetsCommand, ListResourceRecordSetsCommand } from '@aws-sdk/client-route-53';
import type { Lazy } from './clients.ts';
import { aws } from './errors.ts';
import type { DnsZones } from './ports.ts';

/** Name of the TXT record that says whose the record beside it is. */
const ownerName = (name: string): string => `_rejoin.${name}`;
const OWNER = /^"rejoin cluster=([a-z0-9-]+)"$/;

/** Room for the types at a name and a few names below it, so that one call nearly always finds both records. */
const FIRST_LOOK = 20;

/** Records in Route 53 hosted zones. Errors as in `errors.ts`. */
export function awsDnsZones(route53: Lazy<Route53Client>): DnsZones {
  const list = (zoneId: string, start: { StartRecordName: string; StartRecordType?: 'TXT' }, maxItems: number) =>
    aws('route53:ListResourceRecordSets', () =>
      route53().send(new ListResourceRecordSetsCommand({ HostedZoneId: zoneId, ...start, MaxItems: maxItems })),
    );

  return {
    async read(zoneId, name) {
      // Route 53 sorts by reversed labels, so `_rejoin.orders.zone.` follows `orders.zone.` closely: one call for both.
      const first = await list(zoneId, { StartRecordName: name }, FIRST_LOOK);
      const sets = [...(first.ResourceRecordSets ?? [])];
      const mayFollow = first.IsTruncated === true && isUnder(first.NextRecordName, name);
      if (mayFollow && !sets.some((s) => s.Name === ownerName(name))) {
        const second = await list(zoneId, { StartRecordName: ownerName(name), StartRecordType: 'TXT' }, 1);
        sets.push(...(second.ResourceRecordSets ?? []));
      }
      // A CNAME or an alias at the name is somebody's record too: it must not look like an empty place.
      const here = sets.filter((s) => s.Name === name && (s.Type === 'A' || s.Type === 'CNAME'));
      const mark = sets.find((s) => s.Name === ownerName(name) && s.Type === 'TXT');
      return {
        values: [...new Set(here.flatMap(valuesOf))],
        ttlSeconds: here[0]?.TTL ?? null,
        owner: mark === undefined ? null : ownerIn(mark),
      };
    },

    async upsert(zoneId, name, value, ttlSeconds, owner) {
      const records: ResourceRecordSet[] = [
        { Name: name, Type: 'A', TTL: ttlSeconds, ResourceRecords: [{ Value: value }] },
        { Name: ownerName(name), Type: 'TXT', TTL: 300, ResourceRecords: [{ Value: `"rejoin cluster=${owner}"` }] },
      ];
      const batch = {
        Comment: `rejoin: writer of ${owner}`,
        Changes: records.map((r) => ({ Action: 'UPSERT' as const, ResourceRecordSet: r })),
      };
      await aws('route53:ChangeResourceRecordSets', () =>
        route53().send(new ChangeResourceRecordSetsCommand({ HostedZoneId: zoneId, ChangeBatch: batch })),
      );
    },
  };
}

const isUnder = (candidate: string | undefined, name: string): boolean =>
  candidate !== undefined && (candidate === name || candidate.endsWith(`.${name}`));

const valuesOf = (s: ResourceRecordSet): readonly string[] => [
  ...(s.ResourceRecords ?? []).flatMap((r) => r.Value ?? []),
  ...(s.AliasTarget?.DNSName === undefined ? [] : [s.AliasTarget.DNSName]),
];

function ownerIn(set: ResourceRecordSet): string | null {
  for (const value of valuesOf(set)) {
    const owner = OWNER.exec(value)?.[1];
    if (owner !== undefined) return owner;
  }
  return null;
}
