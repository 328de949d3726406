import { isDeepStrictEqual } from 'node:util';
import { Conflict } from '../../lambdas/cloud/ports.ts';
import type { Ledger } from '../../lambdas/cloud/ports.ts';
import type { LaunchTurn } from '../../lambdas/model/launch-turn.ts';
import { EMPTY_LEDGER, RELEASED_BRAKE } from '../../lambdas/model/ledger.ts';
import type {
  AcceptedLoss,
  Claim,
  ClaimAmendment,
  ClusterLedger,
  Escalation,
  Fence,
  FleetFailure,
  IncidentEntry,
  Maintenance,
  OpenIncident,
  PrimaryPosition,
  Suspicion,
} from '../../lambdas/model/ledger.ts';
import type { SyncState } from '../../lambdas/model/quorum.ts';
import type { FakeAws } from './aws.ts';

const without = <T>(map: Readonly<Record<string, T>>, key: string): Record<string, T> =>
  Object.fromEntries(Object.entries(map).filter(([k]) => k !== key));

export class FakeLedger implements Ledger {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  read(cluster: string) {
    return this.#aws.call('Ledger.read', [cluster], () => ({ cluster: this.#of(cluster), brake: this.#aws.brake }));
  }

  setWriter(cluster: string, epoch: number, writer: string, volume: string | null = null): Promise<number> {
    return this.#aws.call('Ledger.setWriter', [cluster, epoch, writer], () => {
      const now = this.#of(cluster);
      if (now.epoch !== epoch) {
        throw new Conflict(
          `cluster ${cluster} is at epoch ${now.epoch}, expected ${epoch}: observe again, then plan again`,
        );
      }
      return this.#set(cluster, { writer, writerVolume: volume, epoch: epoch + 1, accepted: null }).epoch;
    });
  }

  claim(cluster: string, claim: Claim): Promise<number> {
    return this.#aws.call('Ledger.claim', [cluster, claim], () => {
      const now = this.#of(cluster);
      if (this.#aws.brake.engaged) throw new Conflict(`the fleet brake is engaged: ${this.#aws.brake.reason ?? ''}`);
      if (claim.node !== null && now.maintenance?.node === claim.node) {
        throw new Conflict(`node ${claim.node} of ${cluster} is in maintenance by ${now.maintenance.by}`);
      }
      if (now.claim?.execution === claim.execution) return now.epoch;
      if (now.claim !== null) throw new Conflict(`cluster ${cluster} is claimed by ${now.claim.execution}`);
      return this.#set(cluster, { claim, epoch: now.epoch + 1 }).epoch;
    });
  }

  amendClaim(cluster: string, execution: string, known: ClaimAmendment): Promise<void> {
    return this.#aws.call('Ledger.amendClaim', [cluster, execution, known], () => {
      const { claim } = this.#of(cluster);
      if (claim?.execution !== execution) {
        throw new Conflict(`the claim on ${cluster} is held by ${claim?.execution ?? 'nobody'}, expected ${execution}`);
      }
      this.#set(cluster, { claim: { ...claim, ...known } });
    });
  }

  releaseClaim(cluster: string, execution: string): Promise<void> {
    return this.#aws.call('Ledger.releaseClaim', [cluster, execution], () => {
      if (this.#of(cluster).claim?.execution === execution) this.#set(cluster, { claim: null });
    });
  }

  setMaintenance(cluster: string, maintenance: Maintenance | null): Promise<void> {
    return this.#aws.call('Ledger.setMaintenance', [cluster, maintenance], () => {
      const now = this.#of(cluster);
      const other = now.maintenance !== null && now.maintenance.node !== maintenance?.node;
      if (maintenance !== null && (now.claim !== null || other)) {
        throw new Conflict(`${cluster} is claimed, or another of its nodes is in maintenance`);
      }
      this.#set(cluster, { maintenance });
    });
  }

  setSync(
    cluster: string,
    expected: SyncState | null,
    next: SyncState | null,
    guard: { readonly epoch: number } | { readonly execution: string },
  ): Promise<void> {
    return this.#aws.call('Ledger.setSync', [cluster, expected, next, guard], () => {
      const now = this.#of(cluster);
      const may =
        'epoch' in guard
          ? now.claim === null && now.epoch === guard.epoch
          : now.claim !== null && now.claim.execution === guard.execution;
      if (!may) {
        const holder = now.claim?.execution ?? 'nobody';
        throw new Conflict(
          `cluster ${cluster} is at epoch ${now.epoch}, claimed by ${holder}, expected ${JSON.stringify(guard)}`,
        );
      }
      // Written already by this hand, whose answer was lost, is as good.
      if (isDeepStrictEqual(now.sync, next)) return;
      if (!isDeepStrictEqual(now.sync, expected)) {
        throw new Conflict(`sync of ${cluster} is ${JSON.stringify(now.sync)}, expected ${JSON.stringify(expected)}`);
      }
      this.#set(cluster, { sync: next });
    });
  }

  notePosition(cluster: string, position: PrimaryPosition): Promise<void> {
    return this.#aws.call('Ledger.notePosition', [cluster, position], () => {
      const before = this.#of(cluster).position;
      if (before === null || before.atMs < position.atMs) this.#set(cluster, { position });
    });
  }

  noteTimeline(cluster: string, timeline: number): Promise<void> {
    return this.#aws.call('Ledger.noteTimeline', [cluster, timeline], () => {
      if (this.#of(cluster).newestTimeline < timeline) this.#set(cluster, { newestTimeline: timeline });
    });
  }

  noteLook(cluster: string, beganMs: number): Promise<void> {
    return this.#aws.call('Ledger.noteLook', [cluster, beganMs], () => {
      const before = this.#of(cluster).lookBeganMs;
      if (before === null || before < beganMs) this.#set(cluster, { lookBeganMs: beganMs });
    });
  }

  setAccepted(cluster: string, accepted: AcceptedLoss | null): Promise<void> {
    return this.#aws.call('Ledger.setAccepted', [cluster, accepted], () => void this.#set(cluster, { accepted }));
  }

  setSuspicion(cluster: string, node: string, suspicion: Suspicion | null): Promise<void> {
    return this.#aws.call('Ledger.setSuspicion', [cluster, node, suspicion], () => {
      const others = Object.entries(this.#of(cluster).suspicions).filter(([id]) => id !== node);
      const mine: [string, Suspicion][] = suspicion === null ? [] : [[node, suspicion]];
      this.#set(cluster, { suspicions: Object.fromEntries([...others, ...mine]) });
    });
  }

  noteFence(cluster: string, node: string, fence: Fence): Promise<void> {
    return this.#aws.call('Ledger.noteFence', [cluster, node, fence], () => {
      const { claim, fences } = this.#of(cluster);
      if (claim?.execution !== fence.execution) {
        throw new Conflict(`the claim on ${cluster} is held by ${claim?.execution ?? 'nobody'}`);
      }
      this.#set(cluster, { fences: { ...fences, [node]: fence } });
    });
  }

  forgetFence(cluster: string, node: string): Promise<void> {
    return this.#aws.call('Ledger.forgetFence', [cluster, node], () => {
      this.#set(cluster, { fences: without(this.#of(cluster).fences, node) });
    });
  }

  setLeftOver(cluster: string, node: string, toldAtMs: number | null): Promise<void> {
    return this.#aws.call('Ledger.setLeftOver', [cluster, node, toldAtMs], () => {
      const others = without(this.#of(cluster).leftOver, node);
      this.#set(cluster, { leftOver: toldAtMs === null ? others : { ...others, [node]: toldAtMs } });
    });
  }

  setEscalation(cluster: string, escalation: Escalation | null): Promise<void> {
    return this.#aws.call('Ledger.setEscalation', [cluster, escalation], () => void this.#set(cluster, { escalation }));
  }

  openIncident(cluster: string, incident: OpenIncident): Promise<OpenIncident> {
    return this.#aws.call('Ledger.openIncident', [cluster, incident], () => {
      const open = this.#of(cluster).incident ?? incident;
      this.#set(cluster, { incident: open });
      return open;
    });
  }

  closeIncident(cluster: string, incident: string): Promise<void> {
    return this.#aws.call('Ledger.closeIncident', [cluster, incident], () => {
      const { incident: open, epoch } = this.#of(cluster);
      if (open?.id === incident) this.#set(cluster, { incident: null, epoch: epoch + 1 });
    });
  }

  record(cluster: string, incident: string, key: string, entry: IncidentEntry): Promise<void> {
    return this.#aws.call('Ledger.record', [cluster, incident, key, entry], () => {
      const id = `${cluster}/${incident}`;
      const entries = this.#aws.incidents.get(id) ?? new Map<string, IncidentEntry>();
      if (!entries.has(key)) entries.set(key, entry);
      this.#aws.incidents.set(id, entries);
    });
  }

  incident(cluster: string, incident: string): Promise<readonly IncidentEntry[]> {
    return this.#aws.call('Ledger.incident', [cluster, incident], () =>
      [...(this.#aws.incidents.get(`${cluster}/${incident}`)?.entries() ?? [])]
        .sort(([a, x], [b, y]) => x.atMs - y.atMs || (a < b ? -1 : 1))
        .map(([, entry]) => entry),
    );
  }

  noteFailure(failure: FleetFailure): Promise<void> {
    return this.#aws.call('Ledger.noteFailure', [failure], () => {
      const id = `${failure.cluster}#${failure.node}`;
      const before = this.#aws.failures.get(id);
      if (before !== undefined && before.atMs >= failure.atMs) return;
      this.#aws.failures.set(id, { ...failure, knownSinceMs: failure.knownSinceMs ?? failure.atMs });
    });
  }

  failuresSince(sinceMs: number): Promise<readonly FleetFailure[]> {
    return this.#aws.call('Ledger.failuresSince', [sinceMs], () =>
      [...this.#aws.failures.entries()]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, failure]) => failure)
        .filter((f) => f.atMs >= sinceMs),
    );
  }

  engageBrake(reason: string, atMs: number): Promise<void> {
    return this.#aws.call('Ledger.engageBrake', [reason, atMs], () => {
      if (!this.#aws.brake.engaged) this.#aws.brake = { ...this.#aws.brake, engaged: true, reason, sinceMs: atMs };
    });
  }

  releaseBrake(by: string, atMs: number): Promise<void> {
    return this.#aws.call('Ledger.releaseBrake', [by, atMs], () => {
      this.#aws.brake = { ...RELEASED_BRAKE, releasedAtMs: atMs };
      this.#aws.brakeReleasedBy = by;
    });
  }

  takeLaunch(turn: LaunchTurn): Promise<number | null> {
    return this.#aws.call('Ledger.takeLaunch', [turn], () => this.#aws.takeLaunch(turn));
  }

  #of(cluster: string): ClusterLedger {
    return this.#aws.ledgers.get(cluster) ?? EMPTY_LEDGER;
  }

  #set(cluster: string, change: Partial<ClusterLedger>): ClusterLedger {
    const next = { ...this.#of(cluster), ...change };
    this.#aws.ledgers.set(cluster, next);
    return next;
  }
}
