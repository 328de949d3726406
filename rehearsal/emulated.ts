import type { Delays } from './cloud/contract.ts';

/** What is not AWS in a rehearsal: part of every report, so that nobody takes a rehearsal for more than it is. */
export const emulated = (delays: Delays): readonly string[] => [
  'AWS: moto holds the state behind a gateway of the rehearsal; one account and Region, no eventual consistency, no quotas unless injected',
  'Lambda: the deployed bundles in Node processes that stay warm; no VPC, no memory limit, x86 or arm64 as this machine is',
  `EC2: a host is a folder and processes on a loopback address; boot takes ${delays.bootMs} ms, a forced stop ${delays.forceStopMs} ms, a clean shutdown at most ${delays.shutdownMs} ms`,
  `EventBridge: instance events reach the queue ${delays.eventMs} ms after the change of state`,
  'EBS: a volume is a folder; snapshots and device names are not emulated',
  'Network Load Balancer: HAProxy with TCP checks; a change of targets acts at once, on AWS it takes seconds to tens of seconds',
  'Route 53: a DNS server on loopback that follows the zone at once',
  'SSM: the documents run on the host by /bin/sh; systemctl is a stand-in that knows one service',
  'IAM: identity policies of the deployed template are enforced; service control policies and permission boundaries are not',
  'the network: loopback; no packet loss, no partitions in these scenarios',
];
