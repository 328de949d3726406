/** The scripts of `nodes/galera`, as far as their outcome depends on the cluster, and what a probe finds. */
import type { CommandState, Prober } from '../../lambdas/cloud/ports.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import { NO_UUID } from '../../lambdas/bootstrap/choose-node.ts';
import { failed, ok } from '../side.ts';
import type { ScriptEnd } from '../side.ts';
import type { World } from '../world.ts';
import type { GaleraModel } from './cluster.ts';

type Parameters_ = Readonly<Record<string, string>>;

const JOIN_MS = 60_000;

export class GaleraScripts {
  readonly #world: World;
  readonly #model: GaleraModel;
  constructor(world: World, model: GaleraModel) {
    this.#world = world;
    this.#model = model;
  }

  run(id: string, document: string, parameters: Parameters_, end: ScriptEnd): void {
    switch (document) {
      case 'galera-position':
        return end(this.#position(id));
      case 'galera-stop':
        this.#model.stop(id);
        return end(ok({ stopped: 'now' }));
      case 'galera-prepare':
        return end(this.#prepare(id, parameters));
      case 'galera-bootstrap':
        return end(this.#bootstrap(id, parameters));
      case 'galera-join':
        return this.#join(id, parameters, end);
      default:
        return end(failed(64, `no document ${document}`));
    }
  }

  #position(id: string): CommandState {
    const galera = this.#model;
    const n = galera.node(id);
    const status = galera.status(id);
    if (n.process === 'hung' || (n.process === 'up' && status === null))
      return failed(21, 'MariaDB runs but does not answer');
    const data = status === null ? galera.data(id) : null;
    const position = {
      viewId: null,
      safeToBootstrap: false,
      running: status !== null,
      component: status?.component ?? 'none',
    };
    if (status !== null) return ok({ ...position, stateUuid: status.stateUuid, seqno: status.seqno });
    return ok({ ...position, stateUuid: data?.branch.uuid ?? NO_UUID, seqno: data?.seqno ?? -1 });
  }

  #prepare(id: string, { Source, VolumeId }: Parameters_): CommandState {
    const galera = this.#model;
    const volume = this.#world.volumeOf(id);
    if (galera.node(id).process !== 'none') return failed(12, 'MariaDB runs here');
    if (volume === null) return failed(10, 'no data device');
    if (Source === 'volume') {
      if (volume !== VolumeId) return failed(10, `the data device is ${volume}, not ${VolumeId ?? ''}`);
      return galera.disks.has(volume) ? ok({ prepared: 'volume' }) : failed(11, 'the volume holds no data');
    }
    galera.disks.delete(volume);
    return ok({ prepared: 'peer' });
  }

  #bootstrap(id: string, { StateUuid, Seqno, NewHistory }: Parameters_): CommandState {
    const galera = this.#model;
    if (galera.node(id).process !== 'none') {
      return galera.isMember(id) && galera.status(id)?.clusterSize === 1
        ? ok({ bootstrapped: 'already' })
        : failed(12, 'MariaDB runs here');
    }
    const data = galera.data(id);
    if (data === null || data.branch.uuid !== StateUuid || String(data.seqno) !== Seqno)
      return failed(40, 'not at that position');
    galera.bootstrap(id, NewHistory === 'yes');
    this.#world.story.tell(id, `is a primary component of its own at ${data.seqno}`);
    return ok({ bootstrapped: 'now' });
  }

  #join(id: string, { Peers = '', Donor = 'any' }: Parameters_, end: ScriptEnd): void {
    const galera = this.#model;
    const { clock } = this.#world;
    const peers = Peers.split(',').flatMap((a) => this.#world.idAt(a) ?? []);
    if (peers.length === 0) return end(failed(64, 'nobody but this node'));
    const c = galera.node(id).component;
    if (galera.isMember(id)) {
      return end(
        peers.some((p) => c?.members.has(p)) ? ok({ joined: 'already' }) : failed(41, 'two clusters have gone apart'),
      );
    }
    if (galera.node(id).process !== 'none') galera.stop(id);
    galera.start(id);
    const untilMs = clock.nowMs() + JOIN_MS;
    const attempt = (): void => {
      if (galera.node(id).process !== 'up') return end(failed(31, 'MariaDB ended before it had joined'));
      if (galera.admit(id, peers, Donor)) return end(ok({ joined: 'started' }));
      if (clock.nowMs() > untilMs) {
        galera.crash(id);
        return end(failed(32, 'it has seen no primary component'));
      }
      clock.in(1000, attempt);
    };
    attempt();
  }
}

export class GaleraProber implements Prober {
  readonly #world: World;
  readonly #model: GaleraModel;
  constructor(world: World, model: GaleraModel) {
    this.#world = world;
    this.#model = model;
  }

  async probe({ instanceId: id, host }: Parameters<Prober['probe']>[0]): Promise<Probe> {
    const atMs = this.#world.clock.nowMs();
    const bad = (kind: 'refused' | 'silent' | 'unreachable', tookMs: number, detail: string): Probe => ({
      kind,
      atMs,
      tookMs,
      detail,
    });
    if (!this.#world.hostRuns(id) || this.#world.unseen.has(id) || this.#world.addressOf(id) !== host)
      return bad('unreachable', 2000, 'no answer within 2 s');
    const process = this.#model.node(id).process;
    if (process === 'hung') return bad('silent', 2000, 'no greeting within 2 s');
    const status = this.#model.status(id);
    if (status === null) return bad('refused', 2, 'ECONNREFUSED');
    return { kind: 'answered', atMs, tookMs: 4, status };
  }

  async close(): Promise<void> {
    return Promise.resolve();
  }
}
