/** What holds for every situation of a PostgreSQL cluster, however odd: thousands of random ones. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Change, Plan } from '../../../lambdas/model/change.ts';
import { compareLsn } from '../../../lambdas/model/lsn.ts';
import { ARCHIVE_SLOT, slotOf } from '../../../lambdas/model/postgres.ts';
import type { PostgresStatus } from '../../../lambdas/model/postgres.ts';
import { parseSynchronousStandbyNames, synchronousStandbyNames } from '../../../lambdas/model/quorum.ts';
import type { QuorumSet } from '../../../lambdas/model/quorum.ts';
import type { ClusterView, Node } from '../../../lambdas/model/view.ts';
import { diagnose } from '../../../lambdas/reconcile/diagnose.ts';
import { plan } from '../../../lambdas/reconcile/plan.ts';
import { present, routed, step } from './carry-out.ts';
import { postgresViewOf } from './postgres-scenario.ts';
import type { PostgresNote, PostgresScenario } from './postgres-scenario.ts';

const LSNS = ['0/4000000', '0/4FF0000', '0/5000000', '0/9000000'];
const lsn = fc.constantFrom(...LSNS);
const letter = fc.constantFrom('a', 'b', 'c', 'd', 'x');
const streams = fc
  .uniqueArray(
    fc.tuple(
      fc.constantFrom('b', 'c', 'd', 'x'),
      fc.constantFrom('', '@0/4000000', '@0/5000000'),
      fc.constantFrom('', '', '/catchup'),
    ),
    { maxLength: 4, selector: ([l]) => l },
  )
  .map((all) => all.map((t) => t.join('')).join(' '));
const setText = fc.constantFrom('nobody', '1 of b c', '1 of b', '1 of b c d', '2 of b c d', '1 of c d');

const note: fc.Arbitrary<PostgresNote> = fc.record(
  {
    ec2: fc.constantFrom(
      'running',
      'running',
      'running',
      'running',
      'pending',
      'stopping',
      'stopped',
      'shutting-down',
      'terminated',
    ),
    says: fc.constantFrom(
      ...(['primary', 'standby', 'standby', 'refused', 'silent', 'unreachable', 'rejected'] as const),
    ),
    timeline: fc.constantFrom(1, 1, 2, 3),
    lsn,
    replayed: lsn,
    follows: fc.constantFrom('a', 'a', 'b', 'nobody'),
    stream: fc.constantFrom('streaming', 'streaming', 'none', 'starting'),
    heardSecondsAgo: fc.constantFrom(0.1, 1, 2.4, 2.5, 10),
    foreign: fc.constantFrom(false, false, false, true),
    streams,
    slots: fc.constantFrom('b/active c/active', 'b c/lost', 'd x', 'debezium i_0000000000000000f', ''),
    waitsFor: fc.oneof(setText, fc.constantFrom('FIRST 1 (*)', '*')),
    diskMiB: fc.constantFrom([1000, 100_000] as const, [50_000, 100_000] as const),
    suspectForSeconds: fc.constantFrom(0.5, 1.5, 3, 6, 500),
    suspectOf: fc.constantFrom('refused', 'silent', 'unreachable', 'broken', 'stopped'),
    replaces: fc.constantFrom('a', 'b', 'c'),
  },
  { requiredKeys: [] },
);

const targetNote = fc
  .tuple(letter, fc.constantFrom('', '/healthy', '/initial', '/unhealthy', '/draining'))
  .map(([l, state]) => l + state);
const group = fc.uniqueArray(targetNote, { maxLength: 4, selector: (t) => t[0] }).map((t) => t.join(' '));

const scenario: fc.Arbitrary<PostgresScenario> = fc.record(
  {
    engine: fc.constant('postgres' as const),
    durability: fc.constantFrom('quorum', 'quorum', 'async'),
    slotsBy: fc.constantFrom('physical', 'physical', 'none'),
    specNodes: fc.constantFrom(3, 3, 4, 5),
    nodes: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), note),
    writer: fc.option(letter, { freq: 5 }),
    writerGroup: group,
    readGroup: group,
    sync: fc.option(fc.uniqueArray(setText, { minLength: 1, maxLength: 3 }), { freq: 5 }),
    barrier: lsn,
    maintenance: fc.constantFrom('a', 'b', 'c'),
    claim: fc.record(
      {
        mode: fc.constantFrom('rejoin', 'replace', 'add', 'failover', 'switchover', 'roll'),
        node: letter,
        joiner: letter,
        execution: fc.constantFrom('RUNNING', 'SUCCEEDED', 'FAILED', 'NOT_FOUND'),
      },
      { requiredKeys: ['mode'] },
    ),
    brake: fc.constant('too many'),
    escalation: fc.record({ node: letter, forSeconds: fc.constantFrom(10, 1000) }),
    incident: fc.record({ node: letter }),
    accepted: fc.record({ node: letter, forSeconds: fc.constantFrom(1, 100) }),
  },
  { requiredKeys: ['engine'] },
);

const planOf = (view: ClusterView): Plan => plan(view, diagnose(view), view.atMs);
const holds = (property: (view: ClusterView, p: Plan) => void): void => {
  fc.assert(
    fc.property(scenario, (s) => {
      const view = postgresViewOf(s);
      property(view, planOf(view));
    }),
    { numRuns: 1500 },
  );
};

const statusOf = (n: Node | undefined): PostgresStatus | null =>
  n?.probe.kind === 'answered' && n.probe.status.engine === 'postgres' ? n.probe.status : null;
const nodeOf = (view: ClusterView, id: string | null): Node | undefined => view.nodes.find((n) => n.instance.id === id);
/** What the ledger's writer says, when it answers as a primary. */
const primaryOf = (view: ClusterView): PostgresStatus | null => {
  const status = statusOf(nodeOf(view, view.ledger.writer));
  return status?.inRecovery === false ? status : null;
};
const of = <K extends Change['kind']>(p: Plan, ...kinds: readonly K[]): readonly Extract<Change, { kind: K }>[] =>
  p.changes.filter((c): c is Extract<Change, { kind: K }> => (kinds as readonly string[]).includes(c.kind));
const keyOf = (set: QuorumSet): string => `${set.need} ${[...set.standbys].sort().join(' ')}`;

describe('for every situation of a PostgreSQL cluster', () => {
  it('rule 1: a healthy endpoint is never emptied', () => {
    holds((view, p) => {
      const before = view.targetGroups.find((g) => g.route === 'healthy')?.targets ?? [];
      const after = routed(view, p.changes).targetGroups.find((g) => g.route === 'healthy')?.targets ?? [];
      if (present(before).length > 0) expect(present(after).length).toBeGreaterThan(0);
    });
  });

  it('rules 2 and 3: reconcile makes nobody the writer but the one primary of a ledger that names none', () => {
    holds((view, p) => {
      for (const c of of(p, 'SetWriter')) {
        expect(view.ledger.writer).toBeNull();
        const primaries = view.nodes.filter((n) => statusOf(n)?.inRecovery === false).map((n) => n.instance.id);
        expect(primaries).toContain(c.to);
      }
      const writers = [view.ledger.writer, ...of(p, 'SetWriter').map((c) => c.to)];
      for (const c of of(p, 'Register')) {
        const route = view.targetGroups.find((g) => g.arn === c.groupArn)?.route;
        if (route === 'writer') for (const t of c.targets) expect(writers).toContain(t.id);
      }
    });
  });

  it('rule 2: at no step are two nodes of ours in the writer group, unless it was so before', () => {
    holds((view, p) => {
      const ours = new Set(view.nodes.map((n) => n.instance.id));
      const writers = (v: ClusterView): number =>
        present(v.targetGroups.find((g) => g.route === 'writer')?.targets ?? []).filter((t) => ours.has(t)).length;
      let now = view;
      for (const c of p.changes) {
        const next = step(now, c);
        expect(writers(next)).toBeLessThanOrEqual(Math.max(1, writers(now)));
        now = next;
      }
    });
  });

  it('rule 3: nodes are changed only while the ledger’s writer answers as the primary, and pointed at nobody else', () => {
    holds((view, p) => {
      const touched = of(p, 'SetSync', 'SetSlots', 'Follow');
      if (touched.length > 0) expect(primaryOf(view)).not.toBeNull();
      for (const c of of(p, 'SetSync')) expect(c.node).toBe(view.ledger.writer);
      for (const c of of(p, 'Follow')) {
        expect(c.primary).toBe(view.ledger.writer);
        expect(statusOf(nodeOf(view, c.node))?.inRecovery).toBe(true);
      }
      const { claim } = view.ledger;
      if (claim !== null) expect(of(p, 'SetSlots', 'Follow')).toEqual([]);
      if (claim?.mode === 'failover' || claim?.mode === 'switchover') expect(touched).toEqual([]);
    });
  });

  it('a failover starts for nobody but the ledger’s writer, and for a reason that the tables name', () => {
    holds((view, p) => {
      for (const c of of(p, 'StartRecovery').filter((x) => x.mode === 'failover')) {
        const node = nodeOf(view, c.node);
        expect(c.node).toBe(view.ledger.writer);
        expect(view.ledger.maintenance).toBeNull();
        if (node === undefined || node.instance.state !== 'running') continue;
        const since = view.ledger.suspicions[node.instance.id]?.sinceMs ?? view.atMs;
        if (node.probe.kind === 'refused') expect(view.atMs - since).toBeGreaterThanOrEqual(1500);
        else if (node.probe.kind === 'answered') expect(statusOf(node)?.inRecovery).toBe(true);
        else {
          expect(view.atMs - since).toBeGreaterThanOrEqual(1500);
          const followers = view.nodes
            .filter((n) => n !== node)
            .map(statusOf)
            .filter((s) => s?.inRecovery === true && s.followsHost === node.instance.privateIp);
          expect(followers.length).toBeGreaterThan(0);
        }
      }
    });
  });

  it('rules 5 and 7: nothing starts under a claim or the brake, on a node in maintenance, nor two at once', () => {
    holds((view, p) => {
      const starts = of(p, 'StartRecovery');
      expect(starts.length).toBeLessThanOrEqual(1);
      if (view.ledger.claim !== null || view.brake.engaged) expect(starts).toEqual([]);
      for (const c of starts) if (c.node !== null) expect(view.ledger.maintenance?.node).not.toBe(c.node);
    });
  });

  it('rule 6: another node is recovered only while the primary serves, and never the primary itself', () => {
    holds((view, p) => {
      for (const c of of(p, 'StartRecovery').filter((x) => x.mode !== 'failover')) {
        expect(primaryOf(view)).not.toBeNull();
        expect(c.node).not.toBe(view.ledger.writer);
        expect(['rejoin', 'replace', 'add']).toContain(c.mode);
      }
    });
  });

  it('rule 8: no slot is dropped that is in use or not a node’s of ours', () => {
    holds((view, p) => {
      const ours = new Map(view.nodes.map((n) => [slotOf(n.instance.id), n]));
      for (const c of of(p, 'SetSlots')) {
        const there = statusOf(nodeOf(view, c.node))?.slots ?? [];
        for (const name of c.drop) {
          if (name !== ARCHIVE_SLOT) expect(ours.has(name)).toBe(true);
          else expect(view.spec.archive).toBeUndefined();
          expect(there.find((s) => s.name === name)?.active).toBe(false);
          const lives = !['terminated', 'shutting-down'].includes(ours.get(name)?.instance.state ?? '');
          if (c.node === view.ledger.writer && name !== ARCHIVE_SLOT) expect(lives).toBe(false);
        }
        for (const name of c.create) {
          if (name === ARCHIVE_SLOT) expect(view.spec.archive).toBeDefined();
          else expect(ours.has(name)).toBe(true);
        }
      }
    });
  });

  it('no set that may be in force is forgotten before its commits lie on the last one’s standbys', () => {
    holds((view, p) => {
      for (const c of of(p, 'SetSync')) {
        const primary = primaryOf(view);
        if (primary === null) throw new Error('checked above');
        const shown = primary.synchronousStandbyNames;
        expect(c.from).toEqual(view.ledger.sync);
        const last = c.to.sets.at(-1);
        if (c.setting !== null) {
          expect(c.setting.from).toBe(shown);
          expect(last && synchronousStandbyNames(last)).toBe(c.setting.to);
          expect(c.to.barrierLsn).toBeNull();
        }
        const inForce = parseSynchronousStandbyNames(shown) ?? { need: 0, standbys: [] };
        const kept = new Set(c.to.sets.map(keyOf));
        expect(kept.size).toBe(c.to.sets.length);
        const dropped = [...(c.from?.sets ?? []), inForce].filter((set) => !kept.has(keyOf(set)));
        if (dropped.length === 0) continue;
        const barrier = c.from?.barrierLsn;
        if (barrier === null || barrier === undefined || last === undefined)
          throw new Error('dropped without a barrier');
        expect(c.to.sets).toHaveLength(1);
        expect(shown).toBe(synchronousStandbyNames(last));
        for (const id of last.standbys) {
          const flushed = primary.standbys.find((s) => s.node === id)?.flushLsn ?? '0/0';
          expect(compareLsn(flushed, barrier)).toBeGreaterThanOrEqual(0);
        }
      }
    });
  });

  it('a barrier is a position at which the primary already showed the last set', () => {
    holds((view, p) => {
      for (const c of of(p, 'SetSync')) {
        if (c.to.barrierLsn === null) continue;
        const primary = primaryOf(view);
        const last = c.to.sets.at(-1);
        expect(c.to.barrierLsn).toBe(primary?.lsn);
        expect(last && synchronousStandbyNames(last)).toBe(primary?.synchronousStandbyNames);
      }
    });
  });

  it('the set that is wanted has every replica that streams by both words, none that EC2 has ended, and as many acknowledgements as it can', () => {
    holds((view, p) => {
      for (const c of of(p, 'SetSync')) {
        const { engine } = view.spec;
        const last = c.to.sets.at(-1);
        if (engine.kind !== 'postgres' || engine.durability !== 'quorum' || last === undefined) continue;
        for (const n of view.nodes.filter((x) => x.instance.id !== view.ledger.writer)) {
          const { id, state } = n.instance;
          const isForeign = statusOf(n)?.systemId !== undefined && statusOf(n)?.systemId !== primaryOf(view)?.systemId;
          const streamsNow = primaryOf(view)?.standbys.some((s) => s.node === id && s.state === 'streaming') === true;
          // Unless it has itself been saying for 5 s that it has no stream.
          const noted = view.ledger.suspicions[id];
          const denies = statusOf(n)?.inRecovery === true && statusOf(n)?.receiver?.status !== 'streaming';
          const longAgo = noted !== undefined && view.atMs - noted.sinceMs >= 5000;
          if (streamsNow && state === 'running' && !isForeign && !(denies && longAgo)) {
            expect(last.standbys).toContain(id);
          }
          if (state !== 'running') expect(last.standbys).not.toContain(id);
        }
        expect(last.standbys).not.toContain(view.ledger.writer);
        expect(last.need).toBe(Math.min(Math.floor(view.spec.nodes / 2), last.standbys.length));
      }
    });
  });

  it('fewer acknowledgements than declared are never set without an incident', () => {
    holds((view, p) => {
      for (const c of of(p, 'SetSync')) {
        const { engine } = view.spec;
        if (engine.kind !== 'postgres' || engine.durability !== 'quorum') continue;
        if ((c.to.sets.at(-1)?.need ?? 0) >= Math.floor(view.spec.nodes / 2)) continue;
        const opened = p.changes.findIndex((x) => x.kind === 'OpenIncident');
        expect(view.ledger.incident !== null || (opened >= 0 && opened < p.changes.indexOf(c))).toBe(true);
        expect(p.changes.some((x) => x.kind === 'CloseIncident')).toBe(false);
      }
    });
  });

  it('a plan carried out leaves no routing to be done, for whatever it may still wait', () => {
    holds((view, p) => {
      const next = routed(view, p.changes);
      const again = planOf(routed(next, planOf(next).changes)).changes.map((c) => c.kind);
      expect(
        again.filter((k) => ['SetWriter', 'Register', 'Deregister', 'UpsertRecord', 'NoteSuspicion'].includes(k)),
      ).toEqual([]);
    });
  });
});
