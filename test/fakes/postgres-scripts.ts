/** What the host scripts of nodes/postgres do to a PostgreSQL cluster in memory. */
import type { CommandState } from '../../lambdas/cloud/ports.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import type { FakePostgresCluster, Server } from './postgres-cluster.ts';
import { last, lsnText, positionOf } from './postgres-cluster.ts';

type Parameters = Readonly<Record<string, string>>;
type Script = (pg: FakePostgresCluster, server: Server, parameters: Parameters) => CommandState;

const ok = (answer: object): CommandState => ({ kind: 'succeeded', output: JSON.stringify(answer) });
const failed = (exitCode: number, error: string): CommandState => ({ kind: 'failed', exitCode, output: '', error });

const start: Script = (pg, server) => {
  if (server.disk === null) return failed(11, 'found no data directory, expected one');
  if (server.process === 'frozen') return failed(21, 'the server is mute');
  if (server.process === 'up' && !server.recovering) return failed(12, 'it runs as a primary, expected a standby');
  const started = server.process === 'up' ? 'already' : true;
  if (started === true) {
    const recoversUntilMs = pg.aws.clock.nowMs() + pg.recoveryMs;
    Object.assign(server, { process: 'up', recovering: true, lastHeardMs: null, recoversUntilMs });
    Object.assign(server.disk, { upstreamHost: null, upstreamSlot: null });
  }
  return ok({ started, ...positionOf(server.disk), primary: false });
};

const stop: Script = (pg, server) => {
  if (server.disk === null) return failed(11, 'found no data directory, expected one');
  if (server.process === 'frozen') return failed(30, 'it does not shut down');
  const stopped = server.process === 'down' ? 'already' : true;
  if (stopped === true && !server.recovering) pg.append(server, false);
  pg.settle();
  server.process = 'down';
  const { timeline, start } = last(server.disk);
  return ok({ stopped, state: 'shut down', timeline, lsn: lsnText(start), clean: true });
};

const position: Script = (_, server) => {
  const seeding = server.seedingUntilMs !== null;
  if (server.disk === null)
    return ok({ running: false, seeding, primary: false, timeline: 0, lsn: '0/0', systemId: '' });
  const running = server.process === 'up';
  return ok({
    running,
    seeding,
    primary: running && !server.recovering,
    ...positionOf(server.disk),
    systemId: server.disk.systemId,
  });
};

const prepare: Script = (pg, server, { Source, VolumeId }) => {
  if (server.process !== 'down') return failed(12, 'the database runs');
  if (Source === 'peer') server.disk = null;
  else {
    const disk = pg.disks.get(VolumeId ?? '');
    const attached = pg.aws.instances.get(server.id)?.volumes.some((v) => v.volumeId === VolumeId) ?? false;
    if (disk === undefined || !attached) return failed(11, `found no data on ${VolumeId ?? 'no volume'}`);
    server.disk = disk;
  }
  return ok({ prepared: true, source: Source });
};

/** What is in the plan: the database's own log, up to where the plan ends. */
const restore: Script = (pg, server, { Plan = '', Finish }) => {
  const text = pg.aws.objects.get(Plan);
  if (text === undefined) return failed(60, `S3 has no ${Plan}`);
  const word = (line: RegExp): string => line.exec(Buffer.from(text).toString())?.[1] ?? '';
  const [systemId, end] = [word(/^base\t[^/]+\/([^/]+)\//m), word(/^end\t\d+\/(.*)$/m)];
  if (server.process !== 'down') return failed(12, 'the database runs');
  const done = ok({ state: 'restored', restoredTo: `1/${end}`, systemId, durationMs: 9000 });
  // Asked once more it answers the same.
  if (server.disk !== null && pg.restored.get(server.id) === Plan) return done;
  if (pg.restoreMs > 0 && !pg.restores.has(Plan)) pg.restores.set(Plan, pg.aws.clock.nowMs() + pg.restoreMs);
  if ((pg.restores.get(Plan) ?? 0) > pg.aws.clock.nowMs()) return ok({ state: 'running', phase: 'download' });
  if (server.disk !== null) return failed(54, 'the data directory is not empty');
  const instance = pg.aws.instances.get(server.id);
  const source = [...pg.servers.values()].find((s) => s.disk?.systemId === systemId && pg.runs(s) && !s.recovering);
  if (instance === undefined || source === undefined) return failed(62, `the base backup is of ${systemId}`);
  const log = pg.diskOf(source).log.filter((e) => BigInt(e.end) <= lsnBytes(end));
  const empty = { slots: new Set<string>(), passedOver: new Set<number>(), names: '' };
  pg.add(instance, { log, systemId, upstreamHost: null, upstreamSlot: null, ...empty });
  if (Finish !== 'standby') pg.server(server.id).process = 'up';
  pg.restored.set(server.id, Plan);
  return done;
};

const join: Script = (pg, server, { Primary, Donor }) => {
  const primary = [...pg.servers.values()].find((s) => pg.hostOf(s.id) === Primary && pg.runs(s));
  if (primary === undefined || primary.recovering) return failed(52, `${Primary ?? ''} is no primary`);
  const theirs = pg.diskOf(primary);
  const upstream = { upstreamHost: Primary ?? null, upstreamSlot: pg.usesSlots() ? slotOf(server.id) : null };
  if (server.disk === null) {
    const from = [...pg.servers.values()].find((s) => pg.hostOf(s.id) === Donor && pg.runs(s)) ?? primary;
    const instance = pg.aws.instances.get(server.id);
    if (instance === undefined) throw new Error(`EC2 knows no ${server.id}`);
    pg.copies.push(server.id);
    pg.add(instance, { ...pg.diskOf(from), slots: new Set(), passedOver: new Set(), ...upstream });
    Object.assign(pg.server(server.id), { seedingUntilMs: pg.aws.clock.nowMs() + pg.seedMs });
    return ok({ joined: 'seeding', rewound: false });
  }
  if (server.disk.systemId !== theirs.systemId) return failed(51, 'the data is of another database');
  const already = server.process === 'up' && server.recovering && server.disk.upstreamHost === Primary;
  const log = server.disk.log;
  const rewound = theirs.log[log.length - 1]?.id !== last(server.disk).id;
  if (rewound && pg.cannotRewind.has(server.id)) return failed(50, 'cannot be rewound: needs a base backup');
  if (rewound) server.disk.log = log.filter((e, i) => theirs.log[i]?.id === e.id);
  Object.assign(server.disk, upstream);
  Object.assign(server, { process: 'up', recovering: true });
  return ok({ joined: already ? 'already' : 'started', rewound });
};

/** Each acts when it is started, is seen running once, and then to have ended. */
export function installScripts(pg: FakePostgresCluster): void {
  const scripts: Readonly<Record<string, Script>> = {
    'postgres-start': start,
    'postgres-stop': stop,
    'postgres-position': position,
    'postgres-prepare': prepare,
    'postgres-join': join,
    'postgres-restore': restore,
  };
  for (const [name, act] of Object.entries(scripts)) {
    pg.aws.scripts.set(name, (id, parameters) => {
      pg.settle();
      const answer = act(pg, pg.server(id), parameters);
      pg.settle();
      return [{ kind: 'running' }, answer];
    });
  }
}
