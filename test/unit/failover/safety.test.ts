/** The safety rules that the failover keeps: each test fails when its rule's code is taken out. */
import { describe, expect, it } from 'vitest';
import { synchronousStandbyNames } from '../../../lambdas/model/quorum.ts';
import { CLUSTER_TAG } from '../../../lambdas/model/spec.ts';
import type { FakeCall } from '../../fakes/index.ts';
import { failover } from '../../../lambdas/failover/steps.ts';
import { EXECUTION, PostgresWorld } from '../../support/postgres-world.ts';
import { INCIDENT, run } from './run.ts';

const THEIRS = {
  execution: 'arn:other',
  incident: 'x',
  mode: 'replace',
  node: null,
  joiner: null,
  donor: null,
  launch: null,
  claimedAtMs: 1,
} as const;

const CHANGES = /^(PostgresAdmin\.(?!close)|Instances\.(stop|launch|terminate)|Volumes\.(de|at)|HostCommands\.start)/;

const frozen = (options = {}): PostgresWorld => {
  const world = new PostgresWorld(options);
  world.pg.freeze(world.id(0));
  return world;
};

/** Operations on nodes, as `promote i-…`, in order. */
const acts = (world: PostgresWorld): readonly string[] =>
  world.aws.calls
    .filter((c) => c.operation.startsWith('PostgresAdmin.'))
    .map((c) => `${c.operation.slice('PostgresAdmin.'.length)} ${(c.args[0] as { instanceId: string }).instanceId}`);

const indexOf = (world: PostgresWorld, test: (c: FakeCall) => boolean): number => world.aws.calls.findIndex(test);

describe('rule 2: the epoch', () => {
  it('goes up with the new writer, once, before the promotion', async () => {
    const world = frozen();
    const epochs: number[] = [];
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote') epochs.push(world.ledger().epoch);
    };
    const before = world.ledger().epoch;
    await run(world);
    // One for the claim, one for the writer.
    expect(epochs).toEqual([before + 2]);
    expect(world.aws.callsOf('Ledger.setWriter')).toHaveLength(1);
  });

  it('that another hand has raised is looked at anew, as long as the claim is held', async () => {
    const world = frozen();
    let raised = false;
    world.beforeCall = (call) => {
      if (call.operation !== 'Ledger.setWriter' || raised) return;
      raised = true;
      world.setLedger({ epoch: world.ledger().epoch + 1 });
    };
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Ledger.setWriter')).toHaveLength(2);
  });
});

describe('rule 3: nobody is promoted before the old primary is fenced', () => {
  it('by EC2: async waits for its word', async () => {
    const world = frozen({ postgres: { durability: 'async' } });
    const at: unknown[] = [];
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote') at.push(world.aws.instances.get(world.id(0))?.state);
    };
    const ended = await run(world);
    expect(ended.status).toBe('SUCCEEDED');
    expect(at).toEqual(['stopped']);
  });

  it('by EC2: what the ledger remembers of a quorum proves nothing once the cluster is asynchronous', async () => {
    const world = new PostgresWorld({ postgres: { durability: 'async' } });
    world.setLedger({ sync: { sets: [{ need: 1, standbys: [world.id(1), world.id(2)] }], barrierLsn: null } });
    world.pg.freeze(world.id(0));
    const at: unknown[] = [];
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote') at.push(world.aws.instances.get(world.id(0))?.state);
    };
    await run(world);
    expect(at).toEqual(['stopped']);
  });

  it('by EC2: an old primary that it cannot get down is not replaced', async () => {
    const world = frozen({ postgres: { durability: 'async' } });
    world.aws.stopMs = 3_600_000;
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(acts(world).filter((a) => a.startsWith('promote'))).toEqual([]);
    expect(world.ledger()).toMatchObject({ writer: world.id(0), escalation: { attempts: 1 } });
    expect(world.ledger().escalation?.reason).toContain('FenceFailed');
  });

  it('by the quorum: detached are n − k + 1 of every set, and only then is one promoted, without a word of EC2', async () => {
    const world = frozen({ nodes: 5 });
    const detachedAt: number[] = [];
    world.onCall = (call) => {
      if (call.operation !== 'PostgresAdmin.promote') return;
      detachedAt.push(
        world.nodes.filter((n) => world.pg.server(n.id).disk?.upstreamHost !== world.node(0).privateIp).length,
      );
      expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    };
    await run(world);
    expect(detachedAt[0]).toBeGreaterThanOrEqual(3);
  });

  it('by the quorum: one standby that cannot be reached may be acknowledging, so EC2 is asked', async () => {
    const world = frozen();
    world.pg.cut(world.id(2), { plane: true });
    const at: unknown[] = [];
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote') at.push(world.aws.instances.get(world.id(0))?.state);
    };
    await run(world);
    expect(at).toEqual(['stopped']);
  });

  it('by the quorum: what a person accepts is a loss, never a second primary', async () => {
    const world = new PostgresWorld();
    // We do not reach the primary and the third node, and they go on together.
    for (const i of [0, 2]) world.pg.cut(world.id(i), { plane: true });
    const at: unknown[] = [];
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote') at.push(world.aws.instances.get(world.id(0))?.state);
    };
    const ended = await run(world, { accept: world.id(1) });
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(at).toEqual(['stopped']);
    // Lost may be what was accepted; acknowledged by two at once was nothing.
    expect(world.pg.problems(null)).toEqual([]);
  });

  it('by the quorum: every set counts that may be in force', async () => {
    const world = frozen({ nodes: 5 });
    const sync = world.ledger().sync;
    // The primary may still wait for one acknowledgement of the last node alone, which cannot be reached.
    world.setLedger({
      sync: { sets: [{ need: 1, standbys: [world.id(4)] }, ...(sync?.sets ?? [])], barrierLsn: null },
    });
    world.pg.cut(world.id(4), { plane: true });
    await run(world);
    expect(world.aws.callsOf('Instances.stop').map((c) => c.args[0])).toContain(world.id(0));
    const stop = indexOf(world, (c) => c.operation === 'Instances.stop');
    const promote = indexOf(world, (c) => c.operation === 'PostgresAdmin.promote');
    expect(promote === -1 || stop < promote).toBe(true);
  });

  it('by its own word: an old primary that is a standby is detached first', async () => {
    const world = new PostgresWorld({ postgres: { durability: 'async' } });
    world.pg.crash(world.id(0));
    world.pg.boot(world.id(0));
    await run(world);
    const done = acts(world);
    expect(done.indexOf(`detach ${world.id(0)}`)).toBeGreaterThanOrEqual(0);
    expect(done.indexOf(`detach ${world.id(0)}`)).toBeLessThan(done.findIndex((a) => a.startsWith('promote')));
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
  });

  it('the ledger knows the new quorum and the new writer before there is a new primary', async () => {
    const world = frozen();
    const seen: unknown[] = [];
    world.beforeCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote')
        seen.push([world.ledger().writer, world.ledger().sync?.sets.at(-1)]);
      // Nor does the node wait for a quorum of which the ledger knows nothing.
      if (call.operation === 'PostgresAdmin.setSync') expect(world.ledger().sync?.sets).toHaveLength(2);
    };
    await run(world);
    expect(seen).toEqual([[world.id(1), { need: 1, standbys: [world.id(2)] }]]);
  });

  it('the new primary waits for its quorum from its first commit on, and the others follow it before it is one', async () => {
    const world = frozen();
    const found: unknown[] = [];
    world.beforeCall = (call) => {
      if (call.operation !== 'PostgresAdmin.promote') return;
      const { disk } = world.pg.server(world.id(1));
      found.push([disk?.names, [...(disk?.slots ?? [])].length > 0, world.pg.server(world.id(2)).disk?.upstreamHost]);
    };
    await run(world);
    expect(found).toEqual([[`ANY 1 ("${world.id(2)}")`, true, world.node(1).privateIp]]);
  });

  it('a promotion without the proof of a fence on the state is refused', async () => {
    const world = frozen();
    world.setLedger({ claim: { ...THEIRS, execution: EXECUTION } });
    const state = { cluster: 'orders', incident: INCIDENT, node: world.id(0), reason: 'x', candidate: world.id(1) };
    const event = { step: 'Promote', execution: EXECUTION, started: '2026-01-15T02:00:00Z', state };
    await expect(world.invoke(failover, event)).rejects.toMatchObject({ name: 'FenceFailed' });
    expect(acts(world)).toEqual([]);
  });

  it('a candidate that follows somebody again is not promoted but cut off anew', async () => {
    const world = frozen();
    let meddled = false;
    world.onCall = (call) => {
      if (call.operation !== 'Ledger.record' || !String(call.args[2]).endsWith('/choose-0') || meddled) return;
      meddled = true;
      const { disk } = world.pg.server(world.id(1));
      if (disk !== null) disk.upstreamHost = world.node(0).privateIp;
      world.pg.thaw(world.id(0));
    };
    const ended = await run(world);
    expect(ended.errors.map((e) => e.name)).toContain('PromotionFailed');
    expect(ended.status).toBe('SUCCEEDED');
    expect(world.pg.problems(world.ledger().writer)).toEqual([]);
  });
});

describe('a primary that comes back before anybody was promoted', () => {
  const back = (world: PostgresWorld): void => {
    world.onCall = (call) => {
      if (call.operation === 'Ledger.record' && String(call.args[2]).endsWith('/detach-0')) world.pg.thaw(world.id(0));
    };
  };

  it('is given its standbys back, and nothing else happens', async () => {
    const world = frozen({ postgres: { durability: 'async' } });
    back(world);
    const ended = await run(world);
    expect(ended.visited.slice(-3)).toEqual(['GiveBack', 'Report', 'Done']);
    expect([1, 2].filter((i) => !world.pg.streams(world.id(i), world.id(0)))).toEqual([]);
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.ledger()).toMatchObject({ writer: world.id(0), claim: null, escalation: null });
    expect(world.aws.published[0]?.subject).toContain('serves again');
  });

  it('is waited for while it recovers from a crash, when nothing but its end would fence it', async () => {
    const world = new PostgresWorld({ postgres: { durability: 'async' } });
    world.pg.server(world.id(0)).recoversUntilMs = world.aws.clock.nowMs() + 8000;
    const ended = await run(world);
    expect(ended.visited.slice(-3)).toEqual(['GiveBack', 'Report', 'Done']);
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.pg.primaries()).toEqual([world.id(0)]);
  });

  it('is given them back when the workflow gives up, too', async () => {
    const world = frozen();
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.setSync') throw Object.assign(new Error('no'), { name: 'Broken' });
      if (call.operation === 'Ledger.record' && String(call.args[2]).includes('/choose-')) world.pg.thaw(world.id(0));
    };
    const ended = await run(world);
    expect(ended.visited.slice(-3)).toEqual(['LeaveSafe', 'Escalate', 'GaveUp']);
    expect([1, 2].filter((i) => !world.pg.streams(world.id(i), world.id(0)))).toEqual([]);
    expect(world.pg.problems(world.id(0))).toEqual([]);
  });

  it('stays cut off from them when it does not answer: nobody acknowledges anything', async () => {
    const world = frozen();
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.setSync') throw Object.assign(new Error('no'), { name: 'Broken' });
    };
    await run(world);
    const before = world.pg.journal.length;
    world.pg.thaw(world.id(0));
    world.pg.write();
    expect(world.pg.journal).toHaveLength(before);
  });
});

describe('rule 4: the candidate', () => {
  it('NoCandidate: nobody is promoted who may lack an acknowledged write, and a person is told what to do', async () => {
    const world = frozen();
    world.pg.cut(world.id(2), { plane: true });
    world.losesVolume(world.id(0));
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(acts(world).filter((a) => a.startsWith('promote'))).toEqual([]);
    expect(world.pg.journal.every((a) => a.timeline === 1)).toBe(true);
    const { body } = world.aws.published[0] ?? { body: '' };
    expect(body).toContain(`${world.id(1)}: timeline 1 at `);
    expect(body).toContain('"action":"accept-loss"');
    expect(body).toContain('docs/runbook.md#nocandidate');
  });

  it.each([
    ['by the ledger', true],
    ['by nobody', false],
  ])('a volume in the zone of the lost primary is its own only when that is known %s', async (_, isKnown) => {
    const world = new PostgresWorld();
    const [primary, replica, last] = [0, 1, 2].map((i) => world.id(i));
    if (primary === undefined || replica === undefined || last === undefined) throw new Error('three nodes');
    const { zone, volumes } = world.aws.instances.get(primary) ?? { zone: '', volumes: [] };
    const own = volumes[0]?.volumeId ?? '';
    // What lies there is of a replica of an hour ago, unless it is the primary's.
    const disk = { ...world.pg.diskOf(world.pg.server(isKnown ? primary : replica)) };
    for (let n = 0; n < 5; n += 1) world.pg.write();
    if (isKnown) disk.log = world.pg.diskOf(world.pg.server(primary)).log;
    world.losesVolume(primary);
    world.terminates(primary);
    world.losesVolume(last);
    world.terminates(last);
    const id = isKnown ? own : 'vol-0000000000000abcd';
    const tags = { [CLUSTER_TAG]: world.spec.name };
    world.aws.volumes.set(id, { id, state: 'available', zone, tags, attachedTo: null, device: null });
    world.pg.disks.set(id, disk);
    world.losesVolume(replica);
    world.terminates(replica);
    if (!isKnown) world.setLedger({ writerVolume: null });
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe(isKnown ? 'SUCCEEDED' : 'FAILED');
    expect(acts(world).some((a) => a.startsWith('promote'))).toBe(isKnown);
    if (!isKnown)
      expect(world.ledger().escalation?.reason).toContain('NoCandidate: acknowledged writes may be missing');
    expect(world.pg.problems(isKnown ? world.ledger().writer : null)).toEqual([]);
  });

  it('async: one that lacks more than maxLagBytes of the position last seen is refused', async () => {
    const world = new PostgresWorld({ postgres: { durability: 'async', maxLagBytes: 0x100 } });
    world.losesVolume(world.id(0));
    for (const i of [1, 2]) world.pg.hold(world.id(i));
    for (let n = 0; n < 10; n += 1) world.pg.write();
    const { timeline, lsn } = world.pg.status(world.id(0));
    world.setLedger({ position: { node: world.id(0), timeline, lsn, atMs: 1 } });
    world.pg.freeze(world.id(0));
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toMatch(/NoCandidate: \d+ bytes of the position last seen are missing/);
    // Accepted by a person: that node, though the other is as good.
    const again = await run(
      world,
      { accept: world.id(2) },
      'arn:aws:states:eu-west-1:123456789012:execution:failover:orders-2',
    );
    expect(again.status, JSON.stringify(again.errors)).toBe('SUCCEEDED');
    expect(world.ledger().writer).toBe(world.id(2));
  });

  it('a node in maintenance is left alone with its cluster', async () => {
    const world = frozen();
    world.setLedger({ maintenance: { node: world.id(2), by: 'Ada', sinceMs: 1 } });
    const ended = await run(world);
    expect(ended.visited).toEqual(['Claim', 'FenceOrReport', 'Report', 'Done']);
    expect(world.aws.calls.filter((c) => CHANGES.test(c.operation))).toEqual([]);
    expect(world.aws.published[0]?.subject).toContain('in maintenance by Ada');
    expect(world.ledger().claim).toBeNull();
  });

  it('what a candidate told before it was lost still counts: the next one must have reached it', async () => {
    const world = frozen();
    world.losesVolume(world.id(1));
    // The second node is ahead by one acknowledged write; it hangs when it is to be promoted.
    world.pg.thaw(world.id(0));
    world.pg.hold(world.id(2));
    world.pg.write();
    world.pg.freeze(world.id(0));
    let lost = false;
    world.beforeCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote' && !lost) {
        lost = true;
        world.pg.freeze(world.id(1));
      }
    };
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain(`${world.id(1)} had timeline 1`);
    expect(acts(world).filter((a) => a.startsWith('promote'))).not.toContain(`promote ${world.id(2)}`);
  });
});

describe('rule 5: the claim', () => {
  it('of another workflow is respected, without a word to people', async () => {
    const world = frozen();
    world.setLedger({ claim: THEIRS });
    const ended = await run(world);
    expect(ended.visited.at(-1)).toBe('Withdrawn');
    expect(world.ledger()).toMatchObject({ claim: THEIRS, escalation: null });
    expect(world.aws.published).toEqual([]);
    expect(world.aws.calls.filter((c) => CHANGES.test(c.operation))).toEqual([]);
  });

  const moments: readonly (readonly [string, (c: FakeCall) => boolean, RegExp])[] = [
    ['the claim was taken', (c) => c.operation === 'Ledger.claim', CHANGES],
    ['the fence', (c) => c.operation === 'Ledger.record' && String(c.args[2]).includes('/fenced-'), CHANGES],
    [
      'the choice',
      (c) => c.operation === 'Ledger.record' && String(c.args[2]).includes('/choose-'),
      /promote|setSync|stop/,
    ],
    ['the others follow', (c) => c.operation === 'PostgresAdmin.follow', /promote|Instances.stop/],
    ['the promotion', (c) => c.operation === 'PostgresAdmin.promote', /Instances.stop/],
  ];

  it.each(moments)('lost right after %s ends every further act', async (_, when, forbidden) => {
    const world = frozen();
    const taken: string[] = [];
    world.onCall = (call) => {
      if (world.ledger().claim?.execution === 'arn:other' && forbidden.test(call.operation)) taken.push(call.operation);
      if (when(call)) world.setLedger({ claim: THEIRS });
    };
    await run(world);
    expect(taken).toEqual([]);
    expect(world.ledger().claim).toEqual(THEIRS);
  });

  it('lost while EC2 stops the old primary ends every further act', async () => {
    const world = frozen({ postgres: { durability: 'async' } });
    world.onCall = (call) => {
      if (call.operation === 'Instances.stop') world.setLedger({ claim: THEIRS });
    };
    const ended = await run(world);
    expect(ended.visited.at(-1)).toBe('Withdrawn');
    expect(acts(world).filter((a) => a.startsWith('promote'))).toEqual([]);
  });
});

describe('a candidate that is lost when it may have become the primary', () => {
  it('is fenced as the primary before it, stopped, and never rewound: its volume is marked', async () => {
    const world = frozen({ nodes: 5 });
    let lost: string | null = null;
    world.beforeCall = (call) => {
      if (call.operation !== 'PostgresAdmin.promote' || lost !== null) return;
      lost = world.ledger().writer;
      world.pg.freeze(lost ?? '');
    };
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(lost).not.toBeNull();
    const { writer } = world.ledger();
    expect([world.id(0), lost]).not.toContain(writer);
    expect(world.pg.problems(writer)).toEqual([]);
    expect([world.id(0), lost].map((id) => world.aws.instances.get(id ?? '')?.state)).toEqual(['stopped', 'stopped']);
    const unusable = [...world.aws.volumes.values()].filter((v) => v.tags['rejoin:unusable'] === INCIDENT);
    expect(unusable.map((v) => v.attachedTo)).toEqual([lost]);
  });

  /** The first candidate hangs as it is promoted, and wakes up when it is the second one's turn to be looked for. */
  function wakesUp(world: PostgresWorld): { candidate: string | null } {
    const hung: { candidate: string | null } = { candidate: null };
    world.beforeCall = ({ operation, args }) => {
      if (operation === 'PostgresAdmin.promote' && hung.candidate === null) {
        hung.candidate = world.ledger().writer;
        world.pg.freeze(hung.candidate ?? '');
      }
      if (operation === 'Ledger.record' && String(args[2]).endsWith('/detach-1')) world.pg.thaw(hung.candidate ?? '');
    };
    return hung;
  }

  it('rule 6: stays when it wakes up as the only standby, and is proven to have begun no timeline', async () => {
    const world = frozen();
    const hung = wakesUp(world);
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    const { writer } = world.ledger();
    expect(writer).not.toBe(hung.candidate);
    expect(world.pg.streams(hung.candidate ?? '', writer ?? '')).toBe(true);
    expect(world.aws.callsOf('Instances.stop').map((c) => c.args[0])).toEqual([world.id(0)]);
    expect([...world.aws.volumes.values()].filter((v) => v.tags['rejoin:unusable'] !== undefined)).toEqual([]);
    expect(world.record(INCIDENT).join('\n')).toContain(
      `leaves ${hung.candidate ?? ''} in service: cut off, it was a standby`,
    );
    expect(world.pg.problems(writer)).toEqual([]);
  });

  it.each([
    ['left in service: cut off, it was a standby on the timeline before, and streams from the next one', 1, true, []],
    ['rebuilt: cut off, it was on a timeline of the same number', 2, true, ['it']],
    ['rebuilt: it said nothing since it was to be promoted', null, true, ['it']],
    ['rebuilt: it does not stream from the next one', 1, false, ['it']],
  ] as const)('is %s', async (_, timeline, streams, stopped) => {
    const world = frozen();
    await run(world);
    const candidate = world.ledger().writer ?? '';
    const node = [1, 2].map((i) => world.id(i)).find((id) => id !== candidate) ?? '';
    const { disk } = world.pg.server(node);
    if (!streams && disk !== null) disk.upstreamHost = null;
    world.setLedger({ claim: { ...THEIRS, execution: EXECUTION } });
    const told = timeline === null ? {} : { [node]: { timeline, lsn: '0/1000', systemId: '1' } };
    const state = { cluster: 'orders', incident: INCIDENT, reason: 'x', node, candidate, told, passed: [world.id(0)] };
    await world.invoke(failover, { step: 'Secure', execution: EXECUTION, started: '2026-01-15T02:00:00Z', state });
    const stops = world.aws.callsOf('Instances.stop').map((c) => c.args[0]);
    expect(stops.filter((id) => id === node).map(() => 'it')).toEqual(stopped);
  });
});

describe('rule 6', () => {
  it('the old primary is not stopped after the fact when the new one does not serve', async () => {
    const world = frozen();
    world.onCall = (call) => {
      if (call.operation === 'Ledger.record' && String(call.args[2]).includes('/routed-')) world.pg.crash(world.id(1));
    };
    const ended = await run(world);
    expect(ended.status).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.aws.published[0]?.body).toContain('Left undone: will not stop');
  });
});

describe('rule 7: the brake', () => {
  const engaged = { engaged: true, reason: 'many failures', sinceMs: 1 };

  it('engaged before the start refuses the claim', async () => {
    const world = frozen();
    world.aws.brake = engaged;
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('BrakeEngaged');
    expect(world.aws.calls.filter((c) => CHANGES.test(c.operation))).toEqual([]);
  });

  it.each([
    ['the claim', (c: FakeCall) => c.operation === 'Ledger.claim', CHANGES],
    [
      'the choice',
      (c: FakeCall) => c.operation === 'Ledger.record' && String(c.args[2]).includes('/choose-'),
      /promote|stop/,
    ],
    ['the verification', (c: FakeCall) => c.operation === 'Ledger.notePosition', /Instances.stop/],
  ])('engaged right after %s stops the next destructive act', async (_, when, forbidden) => {
    const world = frozen();
    const taken: string[] = [];
    world.onCall = (call) => {
      if (world.aws.brake.engaged && forbidden.test(call.operation)) taken.push(call.operation);
      if (when(call)) world.aws.brake = engaged;
    };
    await run(world);
    expect(taken).toEqual([]);
    expect(world.aws.published[0]?.body).toContain('brake');
  });
});

describe('rule 8: what is not ours', () => {
  it('is not stopped: a writer without the tag of the cluster', async () => {
    const world = frozen({ postgres: { durability: 'async' } });
    const instance = world.node(0);
    world.aws.instances.set(instance.id, { ...instance, tags: {} });
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.ledger().escalation?.reason).toContain('FenceFailed');
  });

  it('is not stopped: a writer that loses the tag when the claim has been taken', async () => {
    const world = frozen({ postgres: { durability: 'async' } });
    const instance = world.node(0);
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.detach') world.aws.instances.set(instance.id, { ...instance, tags: {} });
    };
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.ledger().escalation?.reason).toContain('FenceFailed');
  });

  it('is not stopped: nobody but the old primary is, whatever does not answer', async () => {
    const world = frozen({ nodes: 5 });
    world.pg.freeze(world.id(4));
    await run(world);
    expect([...new Set(world.aws.callsOf('Instances.stop').map((c) => c.args[0]))]).toEqual([world.id(0)]);
  });

  it('is not promoted: a standby of another database', async () => {
    const world = frozen({ nodes: 5 });
    const { disk } = world.pg.server(world.id(4));
    if (disk !== null) disk.systemId = '999';
    if (disk !== null) disk.log = disk.log.map((e) => ({ ...e, timeline: 9 }));
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect([1, 2, 3].map((i) => world.id(i))).toContain(world.ledger().writer);
  });
});

describe('rule 12: the record', () => {
  it('has every destructive act with its reason before it happens', async () => {
    const world = frozen();
    const lines: Record<string, RegExp> = {
      'PostgresAdmin.detach': /^cuts the standbys off from i-.*: the primary is lost/,
      'PostgresAdmin.promote': /^promotes i-.*: .*cut off/,
      'Instances.stop': /^stops i-.* by force: .*silent/,
    };
    const seen = new Set<string>();
    const unrecorded: string[] = [];
    world.beforeCall = (call) => {
      const line = lines[call.operation];
      if (line === undefined) return;
      seen.add(call.operation);
      if (!world.record(INCIDENT).some((l) => line.test(l))) unrecorded.push(call.operation);
    };
    await run(world);
    expect([...seen].toSorted()).toEqual(Object.keys(lines).toSorted());
    expect(unrecorded).toEqual([]);
  });

  it('has a note in the ledger of every node that is stopped, before it is: whoever finds it stopped knows by whom', async () => {
    const world = frozen();
    const stopped: unknown[] = [];
    world.beforeCall = ({ operation, args }) => {
      if (operation === 'Instances.stop') stopped.push([args[0], Object.keys(world.ledger().fences)]);
    };
    await run(world);
    expect(stopped).toEqual([[world.id(0), [world.id(0)]]]);
  });

  it('says that durability is degraded before the new primary waits for fewer than declared', async () => {
    const world = new PostgresWorld({ nodes: 5 });
    const set = { need: 1, standbys: [world.id(1), world.id(2)] };
    world.setLedger({ sync: { sets: [set], barrierLsn: null } });
    const { disk } = world.pg.server(world.id(0));
    if (disk !== null) disk.names = synchronousStandbyNames(set);
    for (const i of [3, 4]) world.terminates(world.id(i));
    world.pg.freeze(world.id(0));
    const told: boolean[] = [];
    world.beforeCall = (call) => {
      if (call.operation === 'PostgresAdmin.setSync')
        told.push(world.record(INCIDENT).some((l) => l.startsWith('DURABILITY_DEGRADED')));
    };
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(told.length).toBeGreaterThan(0);
    expect(told).not.toContain(false);
  });
});
