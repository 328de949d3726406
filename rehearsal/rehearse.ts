/** One rehearsal from beginning to end: build the world, run the scenario, judge it, clean up. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import pc from 'picocolors';
import { lsnBytes } from '../lambdas/model/lsn.ts';
import type { ArchiveFigures } from './archive/watch.ts';
import { build, type Built } from './build.ts';
import { Cleanup } from './cleanup.ts';
import { killed } from './cloud/kills.ts';
import { emulated } from './emulated.ts';
import type { Comparison, Engine } from './engines/engine.ts';
import { judge, type AllowedLoss } from './judge.ts';
import { variantOf, type RehearsalOptions } from './options.ts';
import { clientSection, type FinalNode, type Report, type Verdict } from './report.ts';
import { INTERRUPTED, untilSignal } from './interrupt.ts';
import { ready } from './scenarios/healing.ts';
import { limitsFor } from './scenarios/scenario.ts';
import { Timeline } from './ui/timeline.ts';
import * as variants from './variants.ts';
import type { Measured, World, WorldState } from './world.ts';

const ARCHIVED_WITHIN_SECONDS = 240;

/** How a rehearsal ended: every promise held, one was broken, or a person had enough before the verdict. */
export type Ending = 'passed' | 'failed' | 'interrupted';

/** Throws when the rehearsal could not be carried through. All that was started is ended in any case. */
export async function rehearse(options: RehearsalOptions): Promise<Ending> {
  const timeline = new Timeline();
  const cleanup = new Cleanup();
  const interrupted = untilSignal(() => {
    timeline.quiet();
    timeline.add('stage', INTERRUPTED);
  });
  let verdict = 'interrupted' as Ending;
  const work = carryOut(options, timeline, cleanup, async (passed) => {
    verdict = passed ? 'passed' : 'failed';
    if (options.keep) await interrupted;
  });
  try {
    await Promise.race([work, interrupted]);
    work.catch(() => undefined); // after an interruption it fails because its world is taken away
    cleanup.keepFiles = verdict === 'failed';
    return verdict;
  } catch (error) {
    cleanup.keepFiles = true;
    throw error;
  } finally {
    timeline.quiet();
    timeline.add('stage', 'cleaning up');
    for (const trouble of await cleanup.run()) timeline.add('fault', `clean-up: ${trouble}`);
  }
}

async function carryOut(
  options: RehearsalOptions,
  timeline: Timeline,
  cleanup: Cleanup,
  concluded: (passed: boolean) => Promise<void>,
): Promise<void> {
  const { scenario } = options;
  timeline.add('stage', `scenario ${scenario.name} (${variantOf(options)}): ${scenario.summary}`);
  const built = await build(options, timeline, cleanup);
  const { world } = built;
  await ready(world);
  if (scenario.archive !== undefined) await untilArchived(world);
  const atStart = begin(built, timeline);
  variants.begin(built.cloud, options);
  const measured = await scenario.run(world);
  const report = await conclude(options, built, measured, atStart, timeline);
  timeline.quiet();
  print(report);
  if (options.reportFile !== null) {
    const file = resolve(options.reportFile);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`report: ${file}`);
  }
  if (options.keep) console.log(built.howToReach());
  await concluded(report.passed);
}

/** The first base backup is taken by the plane itself; from then on moments can be restored. */
async function untilArchived(world: World): Promise<void> {
  const archived = (): boolean => world.archive.hasBackup() && (world.archive.coveredMs() ?? 0) > 0;
  await world.until('the first base backup, and log behind it', archived, ARCHIVED_WITHIN_SECONDS);
  world.archive.reset();
}

interface Start {
  readonly hosts: ReadonlySet<string>;
  readonly calls: number;
  /** Writes acknowledged so far, and where the log is. */
  readonly writes: number;
  readonly logBytes: number | null;
}

function begin(built: Built, timeline: Timeline): Start {
  timeline.begin();
  timeline.add('stage', 'the cluster is routed to and the client writes: the scenario begins');
  built.world.client.reset();
  return {
    hosts: new Set(built.hosts.list().map((h) => h.id)),
    calls: built.cloud.calls.mark(),
    writes: written(built.world),
    logBytes: logBytes(built.world.state()),
  };
}

/** Rows so far, through the endpoint and directly. */
const written = (world: World): number => {
  const { writesAcknowledged, direct } = world.client.figures();
  return Object.values(direct).reduce((a, b) => a + b, writesAcknowledged);
};

/** Of engines that have one log: how much of it there is on the most advanced node. */
function logBytes(state: WorldState): number | null {
  const positions = state.nodes.flatMap(({ probe }) =>
    probe.kind === 'answered' && probe.status.engine === 'postgres' ? [Number(lsnBytes(probe.status.lsn))] : [],
  );
  return positions.length === 0 ? null : Math.max(...positions);
}

/** Times are promised where nothing else is in the way, and where nobody has to wait for EC2's proof (durability `async`). */
const promisesTimes = ({ events, kills, engine }: RehearsalOptions): boolean =>
  events !== 'lost' && !kills && engine.declaredLossBytes === null;

/** What may be lost: what the scenario says, otherwise what the engine declares. */
function allowedLoss(options: RehearsalOptions, start: Start, world: World): AllowedLoss {
  if (options.scenario.lossIsAccepted === true) return { kind: 'accepted' };
  const bytes = options.engine.declaredLossBytes;
  const end = logBytes(world.state());
  if (bytes === null || end === null || start.logBytes === null) return { kind: 'none' };
  return {
    kind: 'declared',
    bytes,
    bytesPerWrite: (end - start.logBytes) / Math.max(1, written(world) - start.writes),
  };
}

/** Of a cluster that is gone, as the scenario says: the restores are compared. */
const NOTHING_LEFT: Comparison = {
  accounting: { lost: 0, duplicated: 0, firstLost: [] },
  rows: new Map(),
  directLost: [],
  differences: [],
};

async function conclude(
  options: RehearsalOptions,
  built: Built,
  measured: Measured,
  start: Start,
  timeline: Timeline,
): Promise<Report> {
  const { world, cloud } = built;
  await built.settle();
  const loss = allowedLoss(options, start, world);
  const { figures, acknowledged, direct } = await world.client.stop();
  const state = world.state();
  if (figures.outageBeganAtMs !== null) {
    timeline.add(
      'client',
      `the longest gap between two acknowledged writes began here and took ${figures.writeOutageMs} ms`,
      figures.outageBeganAtMs,
    );
  }
  timeline.add('stage', 'comparing what was acknowledged with what every node holds');
  const synced = state.nodes.filter((n) => n.synced);
  const lost = options.scenario.clusterIsLost === true;
  const ids = acknowledged.map((a) => a.id);
  const comparison = lost
    ? NOTHING_LEFT
    : await options.engine.compare({ acknowledged: ids, direct }, synced, state.ledger.writer);
  const { accounting, rows } = comparison;
  const archive = options.scenario.archive === undefined ? null : await world.archive.figures();
  const iam = built.iam();
  const kills = killed(cloud.kills);
  const since = (atMs: number | null): number | null =>
    atMs === null || measured.signalAtMs === null ? null : Math.max(0, atMs - measured.signalAtMs);
  const verdicts = judge({
    limits: limitsFor(options.scenario, options.engine.kind, promisesTimes(options)),
    nodeCount: world.nodeCount,
    figures,
    comparison,
    direct: options.engine.directWriters ? direct : null,
    writers: built.observer.writers(),
    loss,
    signalToRoutedMs: since(measured.routedAtMs),
    state,
    launched: built.hosts
      .list()
      .filter((h) => !start.hosts.has(h.id))
      .map((h) => h.id),
    donors: built.observer.donors(),
    refusedCalls: iam.refused.length,
    restores: measured.restores ?? [],
    archive,
    rpoMs: (options.scenario.archive?.rpoSeconds ?? 0) * 1000,
    clusterIsLost: lost,
    kills: options.kills ? kills.length : null,
    machineryFailures: built.failures(),
  });
  if (accounting.lost > 0) timeline.add('fault', `lost writes, the first: ${accounting.firstLost.join(', ')}`);
  const nodes = state.nodes.map((n): FinalNode => finalNode(n, rows, options.engine));
  return {
    scenario: options.scenario.name,
    engine: options.engine.kind,
    variant: variantOf(options),
    passed: verdicts.every((v) => v.held),
    verdicts,
    timeline: timeline.entries,
    client: clientSection(figures, accounting),
    control: {
      signalToRoutedMs: since(measured.routedAtMs),
      signalToRejoinedMs: since(measured.rejoinedAtMs),
      awsCalls: cloud.calls.counts(start.calls),
    },
    final: {
      nodes,
      healthyTargets: state.readTargets.filter((t) => t.state === 'healthy').length,
      writerTarget: state.writerTargets[0]?.id ?? null,
      dnsWriter: state.dnsWriter,
    },
    restore: measured.restores ?? [],
    archive,
    killed: kills,
    iam,
    emulated: emulated(options.delays, [...cloud.emulated, ...options.engine.emulated]),
  };
}

const finalNode = (n: WorldState['nodes'][number], rows: ReadonlyMap<string, number>, engine: Engine): FinalNode => ({
  instance: n.id,
  address: n.address,
  ec2: n.ec2,
  database: engine.inWords(n.probe),
  clusterSize: engine.clusterSize(n.probe),
  rows: rows.get(n.id) ?? null,
});

const archiveLine = ({ rpoMsP50, rpoMsP99, bytes, objects }: ArchiveFigures): string =>
  `  archive: ${objects} objects, ${bytes} bytes; behind by ${rpoMsP50 ?? '–'} ms (median), ${rpoMsP99 ?? '–'} ms (99 %)`;

function print(report: Report): void {
  const line = (v: Verdict): string =>
    `  ${v.held ? pc.green('held  ') : pc.red('BROKEN')}  ${v.promise}: ${v.measured}`;
  console.log(`\n${pc.bold(`${report.scenario}: ${report.passed ? pc.green('passed') : pc.red('FAILED')}`)}`);
  console.log(report.verdicts.map(line).join('\n'));
  const { client, control } = report;
  console.log(
    [
      `  writes ${client.writesAcknowledged}, longest gap ${client.writeOutageMs} ms, failed statements ${client.writeErrors}, refused connections ${client.connectErrors}`,
      `  reads ${client.readsAnswered}, failed ${client.readErrors}`,
      ...Object.entries(client.direct).map(([node, count]) => `  directly acknowledged by ${node}: ${count}`),
      ...(report.killed.length === 0 ? [] : [`  killed: ${report.killed.join(', ')}`]),
      ...(report.archive === null ? [] : [archiveLine(report.archive)]),
      ...report.restore.map((r) => `  restored to ${r.target} in ${r.durationMs} ms: ${r.rowsExpected} rows expected`),
      `  signal to routed ${control.signalToRoutedMs ?? '–'} ms, signal to rejoined ${control.signalToRejoinedMs ?? '–'} ms`,
      `  AWS calls by the plane: ${Object.values(control.awsCalls).reduce((a, b) => a + b, 0)}; refused by IAM: ${report.iam.refused.length}; granted and unused here: ${report.iam.unused.length}`,
    ].join('\n'),
  );
  console.log(pc.dim(`  emulated:\n${report.emulated.map((e) => `    ${e}`).join('\n')}`));
}
