/** What holds for every situation, however odd: thousands of random ones. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../../lambdas/model/change.ts';
import { servesInNeed } from '../../../lambdas/model/galera.ts';
import type { ClusterView } from '../../../lambdas/model/view.ts';
import { diagnose } from '../../../lambdas/reconcile/diagnose.ts';
import { plan } from '../../../lambdas/reconcile/plan.ts';
import { present, routed, step } from './carry-out.ts';
import { idOf, viewOf } from './scenario.ts';
import type { NodeNote, Scenario } from './scenario.ts';

const note: fc.Arbitrary<NodeNote> = fc.record(
  {
    ec2: fc.constantFrom(
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
      ...(['Synced', 'Synced', 'Synced', 'Donor/Desynced', 'Joining', 'Joined', 'Non-Primary'] as const),
      ...(['refused', 'silent', 'unreachable', 'rejected'] as const),
    ),
    readOnly: fc.boolean(),
    notReady: fc.boolean(),
    members: fc.constantFrom('a b c', 'a', 'b c', 'a b c d'),
    suspectForSeconds: fc.constantFrom(0.5, 3, 30, 500),
    suspectOf: fc.constantFrom('refused', 'silent', 'unreachable', 'partitioned', 'stopped'),
    replaces: fc.constantFrom('a', 'b', 'c'),
    launchedHoursAgo: fc.nat(100),
  },
  { requiredKeys: [] },
);
const letter = fc.constantFrom('a', 'b', 'c', 'd', 'x');
const targetNote = fc
  .tuple(letter, fc.constantFrom('', '/healthy', '/initial', '/unhealthy', '/draining', '/unused'))
  .map(([l, state]) => l + state);
const group = fc.uniqueArray(targetNote, { maxLength: 4, selector: (t) => t[0] }).map((t) => t.join(' '));

const scenario: fc.Arbitrary<Scenario> = fc.record(
  {
    nodes: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), note),
    writer: fc.option(letter),
    writerGroup: group,
    readGroup: group,
    maintenance: fc.constantFrom('a', 'b', 'c'),
    claim: fc.record(
      {
        mode: fc.constantFrom('rejoin', 'replace', 'add', 'bootstrap'),
        node: letter,
        joiner: letter,
        donor: letter,
        execution: fc.constantFrom('RUNNING', 'SUCCEEDED', 'FAILED', 'NOT_FOUND'),
      },
      { requiredKeys: ['mode'] },
    ),
    brake: fc.constant('too many'),
    escalation: fc.record({ node: letter, forSeconds: fc.constantFrom(10, 1000) }),
    incident: fc.record({ node: letter }),
  },
  { requiredKeys: [] },
);

const planOf = (view: ClusterView): Plan => plan(view, diagnose(view), view.atMs);
const holds = (property: (view: ClusterView, p: Plan) => void): void => {
  fc.assert(
    fc.property(scenario, (s) => {
      const view = viewOf(s);
      property(view, planOf(view));
    }),
    { numRuns: 3000 },
  );
};

const serving = (view: ClusterView): string[] =>
  view.nodes
    .filter(({ probe }) => probe.kind === 'answered' && probe.status.engine === 'galera' && servesInNeed(probe.status))
    .map((n) => n.instance.id);

describe('for every situation', () => {
  it('rule 1: a healthy endpoint is never emptied, and keeps a serving target if it had one', () => {
    holds((view, p) => {
      const step1 = routed(view, p.changes);
      const before = view.targetGroups.find((g) => g.route === 'healthy')?.targets ?? [];
      const after = step1.targetGroups.find((g) => g.route === 'healthy')?.targets ?? [];
      if (present(before).length > 0) expect(present(after).length).toBeGreaterThan(0);
      if (present(before).some((t) => serving(view).includes(t))) {
        expect(present(after).some((t) => serving(view).includes(t))).toBe(true);
      }
    });
  });

  it('rule 2: at no step do two nodes of ours take writes, unless it was so before', () => {
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

  it('rule 4: who becomes the writer is Synced, writable and in nobody’s hands', () => {
    holds((view, p) => {
      for (const c of p.changes) {
        if (c.kind !== 'SetWriter') continue;
        const node = view.nodes.find((n) => n.instance.id === c.to);
        const good = { component: 'Primary', state: 'Synced', ready: true, readOnly: false };
        expect(node).toMatchObject({ instance: { state: 'running' }, probe: { kind: 'answered', status: good } });
        expect(view.ledger.maintenance?.node).not.toBe(c.to);
      }
    });
  });

  it('rules 5 and 7: nothing starts under a claim or the brake, on a node in maintenance, nor two at once', () => {
    holds((view, p) => {
      const starts = p.changes.filter((c) => c.kind === 'StartRecovery');
      expect(starts.length).toBeLessThanOrEqual(1);
      if (view.ledger.claim !== null || view.brake.engaged) expect(starts).toEqual([]);
      for (const c of starts) if (c.node !== null) expect(view.ledger.maintenance?.node).not.toBe(c.node);
    });
  });

  it('rule 6: a single node is recovered only while another serves', () => {
    holds((view, p) => {
      for (const c of p.changes) {
        if (c.kind !== 'StartRecovery' || c.mode === 'bootstrap') continue;
        expect(serving(view).filter((id) => id !== c.node).length).toBeGreaterThan(0);
      }
    });
  });

  it('rule 8: only targets that are ours are touched', () => {
    holds((view, p) => {
      for (const c of p.changes) {
        if (c.kind !== 'Register' && c.kind !== 'Deregister') continue;
        const known = [...view.nodes.map((n) => n.instance.id), ...named(view)];
        expect(c.targets.filter((t) => !known.includes(t.id))).toEqual([]);
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

  it('every wait is worth coming back for within a quarter of an hour, and says why', () => {
    holds((_, p) => {
      if (p.outcome.kind !== 'requeueAfter') return;
      expect(p.outcome.seconds).toBeGreaterThan(0);
      expect(p.outcome.reason.length).toBeGreaterThan(10);
    });
  });
});

const named = (view: ClusterView): string[] => {
  const { writer, suspicions, incident, escalation, claim } = view.ledger;
  return [writer, incident?.node, escalation?.node, claim?.node, claim?.joiner, ...Object.keys(suspicions)].flatMap(
    (id) => id ?? idOf('a'),
  );
};
