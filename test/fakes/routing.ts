import type { DnsRecord, DnsZones, TargetGroups, TargetRef } from '../../lambdas/cloud/ports.ts';
import type { Target } from '../../lambdas/model/view.ts';
import type { FakeAws, FakeTargetGroup } from './aws.ts';
import { FakeAwsError } from './aws.ts';

const key = (t: TargetRef): string => `${t.id}:${t.port}`;

export class FakeTargetGroups implements TargetGroups {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  health(groupArn: string): Promise<readonly Target[]> {
    return this.#aws.call('TargetGroups.health', [groupArn], () => {
      const group = this.#group(groupArn);
      for (const [k, t] of group.targets) {
        if (t.goneAtMs !== undefined && t.goneAtMs <= this.#aws.clock.nowMs()) group.targets.delete(k);
      }
      return [...group.targets.values()].map(({ id, port, state }) => ({ id, port, state }));
    });
  }

  register(groupArn: string, targets: readonly TargetRef[]): Promise<void> {
    return this.#aws.call('TargetGroups.register', [groupArn, targets], () => {
      const group = this.#group(groupArn);
      for (const t of targets) {
        const there = group.targets.get(key(t));
        if (there !== undefined && there.state !== 'draining') continue;
        group.targets.set(key(t), { id: t.id, port: t.port, state: this.#aws.registeredState });
      }
    });
  }

  deregister(groupArn: string, targets: readonly TargetRef[]): Promise<void> {
    return this.#aws.call('TargetGroups.deregister', [groupArn, targets], () => {
      const group = this.#group(groupArn);
      for (const t of targets) {
        const there = group.targets.get(key(t));
        if (there === undefined || there.state === 'draining') continue;
        const goneAtMs = this.#aws.clock.nowMs() + group.drainSeconds * 1000;
        group.targets.set(key(t), { id: t.id, port: t.port, state: 'draining', goneAtMs });
      }
    });
  }

  ensureTermination(groupArn: string, drainSeconds: number): Promise<boolean> {
    return this.#aws.call('TargetGroups.ensureTermination', [groupArn, drainSeconds], () => {
      const group = this.#group(groupArn);
      if (group.drainSeconds === drainSeconds && group.endsConnections) return false;
      group.drainSeconds = drainSeconds;
      group.endsConnections = true;
      return true;
    });
  }

  #group(arn: string): FakeTargetGroup {
    const group = this.#aws.targetGroups.get(arn);
    if (group === undefined)
      throw new FakeAwsError('TargetGroupNotFound', `One or more target groups not found: ${arn}`);
    return group;
  }
}

export class FakeDnsZones implements DnsZones {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  read(zoneId: string, name: string): Promise<DnsRecord> {
    return this.#aws.call('DnsZones.read', [zoneId, name], () => {
      const record = this.#zone(zoneId).get(name);
      return record === undefined ? { values: [], ttlSeconds: null, owner: null } : { ...record };
    });
  }

  upsert(zoneId: string, name: string, value: string, ttlSeconds: number, owner: string): Promise<void> {
    return this.#aws.call('DnsZones.upsert', [zoneId, name, value, ttlSeconds, owner], () => {
      this.#zone(zoneId).set(name, { values: [value], ttlSeconds, owner });
    });
  }

  #zone(zoneId: string) {
    const zone = this.#aws.zones.get(zoneId);
    if (zone === undefined) throw new FakeAwsError('NoSuchHostedZone', `No hosted zone found with ID: ${zoneId}`);
    return zone;
  }
}
