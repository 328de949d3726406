import type { Delays } from './cloud/contract.ts';

/** What is not AWS in a rehearsal: part of every report, so that nobody takes a rehearsal for more than it is. */
export const emulated = (delays: Delays, services: readonly string[]): readonly string[] => [
  ...services,
  `EC2: a host is a folder and processes on a loopback address; boot takes ${delays.bootMs} ms, a forced stop ${delays.forceStopMs} ms, a clean shutdown at most ${delays.shutdownMs} ms and then ${delays.powerOffMs ?? 0} ms until EC2 says terminated`,
  'EBS: a volume is a folder; attaching takes no time; snapshots are not there',
  'Network Load Balancer: HAProxy with TCP checks, round robin; a change of targets acts at once, on AWS it takes seconds to tens of seconds',
  'Route 53: a DNS server on loopback that follows the zone at once',
  'SSM: the documents run on the host by /bin/sh; systemctl is a stand-in that knows one service; the agent is there when the host has booted',
  'IAM: policies of the deployed template and of the hosts are enforced; service control, session and endpoint policies are not',
  'the network: loopback; no packet loss; partitions, where a scenario has them, by nftables',
];
