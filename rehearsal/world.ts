/** A running rehearsal as scenarios see it: faults to inject, a state to look at, waits that end. */
import type { Ledger } from '../lambdas/cloud/ports.ts';
import type { RestoreFigures } from './archive/accounting.ts';
import type { ArchiveWatch } from './archive/watch.ts';
import type { Client } from './client/client.ts';
import type { AdminConfig, Cloud } from './cloud/cloud.ts';
import type { Hosts } from './cloud/hosts.ts';
import * as people from './console.ts';
import type { Engine } from './engines/engine.ts';
import { DATA_DEVICE } from './environment.ts';
import type { Observer, WorldState } from './observer.ts';
import type { Partitions } from './partition.ts';
import type { Signals } from './signals.ts';
import type { Timeline } from './ui/timeline.ts';
import { waitFor } from './wait.ts';

export type { WorldState } from './observer.ts';

/** Moments of a scenario, as epoch milliseconds. Null where there was none. */
export interface Measured {
  readonly faultAtMs: number;
  /** When the first hint of the fault reached one of the plane's queues. */
  readonly signalAtMs: number | null;
  readonly routedAtMs: number | null;
  readonly rejoinedAtMs: number | null;
  /** Restores, in the order in which they were asked for. */
  readonly restores?: readonly RestoreFigures[];
}

export interface WorldParts {
  readonly cluster: string;
  readonly nodeCount: number;
  readonly admin: AdminConfig;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly engine: Engine;
  /** Null unless the scenario breaks the network (`Scenario.breaksNetwork`). */
  readonly partitions: Partitions | null;
  readonly client: Client;
  readonly timeline: Timeline;
  readonly observer: Observer;
  readonly ledger: Ledger;
  /** Name of the table behind it. */
  readonly ledgerTable: string;
  /** Null unless the scenario has one. */
  readonly archive: ArchiveWatch | null;
  readonly signals: Signals;
  /** Name of the deployed function for operators. */
  readonly operateFunction: string;
  /** ARNs of the deployed state machines. */
  readonly machines: readonly string[];
  readonly launchTemplateId: string;
  /** URLs of the queue that signals reach, of its dead-letter queue, and of the queue of reconcile requests. */
  readonly signalsQueue: string;
  readonly signalsDeadLetters: string;
  readonly reconcileQueue: string;
  /** Opens another account (`World.elsewhere`). */
  readonly elsewhere: () => Promise<World>;
}

export class World {
  readonly cluster: string;
  readonly nodeCount: number;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly engine: Engine;
  readonly client: Client;
  readonly timeline: Timeline;
  readonly ledger: Ledger;
  readonly signalsQueue: string;
  readonly signalsDeadLetters: string;
  readonly reconcileQueue: string;
  private readonly parts: WorldParts;
  private waitingFor = '';

  constructor(parts: WorldParts) {
    this.parts = parts;
    this.cluster = parts.cluster;
    this.nodeCount = parts.nodeCount;
    this.cloud = parts.cloud;
    this.hosts = parts.hosts;
    this.engine = parts.engine;
    this.ledger = parts.ledger;
    this.client = parts.client;
    this.timeline = parts.timeline;
    this.signalsQueue = parts.signalsQueue;
    this.signalsDeadLetters = parts.signalsDeadLetters;
    this.reconcileQueue = parts.reconcileQueue;
  }

  state(): WorldState {
    return this.parts.observer.state();
  }

  /** Instance id of the node that writes are routed to. Throws when there is not exactly one. */
  writer(): string {
    const [target, ...more] = this.state().writerTargets;
    if (target === undefined || more.length > 0) {
      throw new Error(`expected one target in the writer's group, found ${this.state().writerTargets.length}`);
    }
    return target.id;
  }

  members(): string[] {
    return this.state()
      .nodes.filter((n) => n.synced)
      .map((n) => n.id);
  }

  /** The synced nodes that are not the writer; at least one. */
  otherThanWriter(): [string, ...string[]] {
    const writer = this.writer();
    const [first, ...rest] = this.members().filter((id) => id !== writer);
    if (first === undefined) throw new Error('there is no synced node but the writer');
    return [first, ...rest];
  }

  async until(what: string, condition: (state: WorldState) => boolean, withinSeconds: number): Promise<void> {
    this.waitingFor = what;
    await waitFor(
      what,
      () => condition(this.state()),
      withinSeconds,
      () => this.describe(),
    );
    this.waitingFor = '';
  }

  /** One line for the progress display. */
  progress(): string {
    const { nodes, writerTargets } = this.state();
    const { writesAcknowledged, lastAcknowledgedAtMs } = this.client.figures();
    const idle = lastAcknowledgedAtMs === null ? '–' : `${Date.now() - lastAcknowledgedAtMs} ms ago`;
    return [
      `${writesAcknowledged} writes, the last ${idle}`,
      `${nodes.filter((n) => n.synced).length} of ${this.nodeCount} nodes synced`,
      `writer ${writerTargets.map((t) => t.id).join(' + ') || 'none'}`,
      ...(this.waitingFor === '' ? [] : [`waiting for ${this.waitingFor}`]),
    ].join(' · ');
  }

  /** The state in lines, for a wait that ended in vain. */
  describe(): string {
    const { nodes, writerTargets, readTargets, dnsWriter, ledger, problems } = this.state();
    const targets = (list: WorldState['readTargets']): string =>
      list.map((t) => `${t.id} ${t.state}`).join(', ') || 'none';
    return [
      ...nodes.map((n) => `  ${n.id} ${n.address}: EC2 ${n.ec2}, database ${this.engine.inWords(n.probe)}`),
      `  writer targets: ${targets(writerTargets)}`,
      `  read targets: ${targets(readTargets)}`,
      `  DNS: ${dnsWriter ?? 'no answer'}`,
      `  ledger: epoch ${ledger.epoch}, writer ${ledger.writer ?? 'none'}, claim ${ledger.claim?.execution ?? 'none'}, incident ${ledger.incident?.id ?? 'none'}, escalation ${ledger.escalation?.reason ?? 'none'}`,
      ...problems.map((problem) => `  not as declared: ${problem}`),
    ].join('\n');
  }

  firstSignalAfter(atMs: number, nodes: readonly string[]): number | null {
    return this.parts.signals.firstAfter(atMs, nodes);
  }

  async terminate(id: string): Promise<void> {
    this.timeline.add('fault', `TerminateInstances ${id}: the system shuts down, then the power goes`);
    await people.terminateInstance(this.parts.admin, id);
  }

  /** Terminates instances so that nothing is left of them: their volumes go with them. */
  async loseForGood(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((id) => people.loseVolumeWithInstance(this.parts.admin, id, DATA_DEVICE)));
    await Promise.all(ids.map((id) => this.terminate(id)));
    if (this.parts.hosts.list().every((h) => ids.includes(h.id))) this.parts.archive?.noMoreWrites();
  }

  /** All that the plane remembers, incidents' records too: the ledger's items, as JSON. */
  records(): Promise<readonly string[]> {
    return people.itemsOf(this.parts.admin, this.parts.ledgerTable);
  }

  /** Deletes all that the plane remembers. */
  async forget(): Promise<void> {
    const items = await people.emptyTable(this.parts.admin, this.parts.ledgerTable);
    this.timeline.add('fault', `the ledger is emptied: ${items} items`);
  }

  /** Nothing is left of the archive but a copy of its objects. */
  async copyArchiveBack(): Promise<void> {
    const objects = await people.copyBack({ admin: this.parts.admin, bucket: this.archive.bucketName });
    this.timeline.add('fault', `the bucket is filled from a copy: ${objects} objects, with other dates`);
  }

  /** Another account in another region, with a plane of its own that has the same cluster declared, and none of its nodes. */
  elsewhere(): Promise<World> {
    return this.parts.elsewhere();
  }

  /** Copies the archive into another account's, as a person does who has nothing else left. */
  async copyArchiveTo(other: World): Promise<void> {
    const [from, to] = [this, other].map(({ parts, archive }) => ({ admin: parts.admin, bucket: archive.bucketName }));
    if (from === undefined || to === undefined) return;
    const objects = await people.copyObjects(from, to);
    this.timeline.add('fault', `${objects} objects of ${from.bucket} are copied to ${to.bucket}, of another account`);
  }

  /** The network, to be broken. Throws when the scenario has not said that it does so. */
  get network(): Partitions {
    if (this.parts.partitions === null)
      throw new Error('the scenario does not say that it breaks the network (breaksNetwork)');
    return this.parts.partitions;
  }

  /** The cluster's archive. Throws when the scenario has not declared one. */
  get archive(): ArchiveWatch {
    if (this.parts.archive === null) throw new Error('the scenario declares no archive (archive)');
    return this.parts.archive;
  }

  /** Calls the operators' function, as a person does from the people. Answers what it says; throws that when it refuses. */
  operate(request: Readonly<Record<string, unknown>>): Promise<unknown> {
    return people.invoke(this.parts.admin, this.parts.operateFunction, { cluster: this.cluster, ...request });
  }

  /** A new version of the hosts' launch template. Answers its number. */
  newTemplateVersion(): Promise<number> {
    return people.newTemplateVersion(this.parts.admin, this.parts.launchTemplateId);
  }

  /**
   * Starts a state machine as a person does from the console, and waits for its end. `machine` is how its name ends.
   * Throws when there is none, or it takes longer.
   */
  async execute(
    machine: string,
    input: Readonly<Record<string, unknown>>,
    withinSeconds: number,
  ): Promise<people.Execution> {
    const { admin, machines } = this.parts;
    const arn = machines.find((candidate) => candidate.toLowerCase().endsWith(`-${machine}`));
    if (arn === undefined) throw new Error(`no state machine ends in -${machine}; there are: ${machines.join(', ')}`);
    const execution = await people.startExecution(admin, arn, { cluster: this.cluster, ...input });
    let state: people.Execution = { status: 'RUNNING', why: '', output: null };
    const what = `the execution of ${machine} to end`;
    this.waitingFor = what;
    const ended = async (): Promise<boolean> => {
      state = await people.executionOf(admin, execution);
      return state.status !== 'RUNNING';
    };
    await waitFor(what, ended, withinSeconds, () => this.describe());
    this.waitingFor = '';
    return state;
  }

  /** Does something once, when a step of a workflow begins or has ended well; the step's caller waits for it. */
  atStep(step: string, phase: 'begun' | 'ended', action: (event: unknown) => Promise<void> | void): void {
    let done = false;
    const end = this.cloud.lambdas.listen(async ({ event, phase: at, payload }) => {
      if (done || at !== phase || (event as { step?: unknown } | null)?.step !== step) return;
      if (phase === 'ended' && (payload === null || waits(payload))) return;
      done = true;
      end();
      await action(event);
    });
  }

  async stopDatabase(id: string): Promise<void> {
    await this.engine.stopDatabase(this.hosts, id);
  }

  async startDatabase(id: string): Promise<void> {
    const serving = this.state().nodes.filter((n) => n.synced && n.id !== id);
    await this.engine.startDatabase(this.hosts, id, serving, this.writer());
  }
}

/** "Not yet" is a value: the step will be asked again. */
const waits = (payload: string): boolean => (JSON.parse(payload) as { ready?: unknown } | null)?.ready === false;
