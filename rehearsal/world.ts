/** A running rehearsal as scenarios see it: faults to inject, a state to look at, waits that end. */
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { EC2Client, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import type { Client } from './client/client.ts';
import type { AdminConfig, Cloud } from './cloud/cloud.ts';
import type { Hosts } from './cloud/hosts.ts';
import { inWords, type Observer, type WorldState } from './observer.ts';
import { runScript } from './seed.ts';
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
}

export interface WorldParts {
  readonly cluster: string;
  readonly nodeCount: number;
  readonly admin: AdminConfig;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly client: Client;
  readonly timeline: Timeline;
  readonly observer: Observer;
  readonly signals: Signals;
  /** Name of the deployed function for operators. */
  readonly operateFunction: string;
  /** URLs of the queue that signals reach, of its dead-letter queue, and of the queue of reconcile requests. */
  readonly signalsQueue: string;
  readonly signalsDeadLetters: string;
  readonly reconcileQueue: string;
}

export class World {
  readonly cluster: string;
  readonly nodeCount: number;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly client: Client;
  readonly timeline: Timeline;
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
    const { nodes, writerTargets, readTargets, dnsWriter, ledger } = this.state();
    const targets = (list: WorldState['readTargets']): string =>
      list.map((t) => `${t.id} ${t.state}`).join(', ') || 'none';
    return [
      ...nodes.map((n) => `  ${n.id} ${n.address}: EC2 ${n.ec2}, database ${inWords(n)}`),
      `  writer targets: ${targets(writerTargets)}`,
      `  read targets: ${targets(readTargets)}`,
      `  DNS: ${dnsWriter ?? 'no answer'}`,
      `  ledger: epoch ${ledger.epoch}, writer ${ledger.writer ?? 'none'}, claim ${ledger.claim?.execution ?? 'none'}, incident ${ledger.incident?.id ?? 'none'}, escalation ${ledger.escalation?.reason ?? 'none'}`,
    ].join('\n');
  }

  firstSignalAfter(atMs: number, nodes: readonly string[]): number | null {
    return this.parts.signals.firstAfter(atMs, nodes);
  }

  async terminate(id: string): Promise<void> {
    this.timeline.add('fault', `TerminateInstances ${id}: the system shuts down, then the power goes`);
    const ec2 = new EC2Client(this.parts.admin);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    ec2.destroy();
  }

  /** Calls the operators' function, as a person does from the console. Throws with its answer when it refuses. */
  async operate(request: Readonly<Record<string, unknown>>): Promise<void> {
    const lambda = new LambdaClient({ ...this.parts.admin, maxAttempts: 1 });
    const answer = await lambda.send(
      new InvokeCommand({
        FunctionName: this.parts.operateFunction,
        Payload: Buffer.from(JSON.stringify({ cluster: this.cluster, ...request })),
      }),
    );
    lambda.destroy();
    const text = Buffer.from(answer.Payload ?? []).toString();
    if (answer.FunctionError !== undefined) throw new Error(`operate refused ${JSON.stringify(request)}: ${text}`);
  }

  async stopDatabase(id: string): Promise<void> {
    await runScript(this.hosts, id, 'stop');
  }

  async startDatabase(id: string): Promise<void> {
    const peers = this.state().nodes.filter((n) => n.synced && n.id !== id);
    await runScript(this.hosts, id, 'join', {
      REJOIN_PARAM_PEERS: peers.map((n) => n.address).join(','),
      REJOIN_PARAM_DONOR: 'any',
    });
  }
}
