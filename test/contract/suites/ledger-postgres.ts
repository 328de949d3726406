import { describe, expect, it } from 'vitest';
import { Conflict } from '../../../lambdas/cloud/ports.ts';
import type { Claim, PrimaryPosition } from '../../../lambdas/model/ledger.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import type { SyncState } from '../../../lambdas/model/quorum.ts';
import type { World } from '../world.ts';
import { aCluster } from '../world.ts';

const T0 = Date.UTC(2026, 0, 15, 2);

const aClaim: Claim = {
  execution: 'arn:aws:states:eu-west-1:123456789012:execution:failover:one',
  incident: 'inc-1',
  mode: 'failover',
  node: 'i-1',
  joiner: null,
  donor: null,
  launch: null,
  claimedAtMs: T0,
};
const OTHER = 'arn:aws:states:eu-west-1:123456789012:execution:failover:two';

const both: SyncState = { sets: [{ need: 1, standbys: ['i-2', 'i-3'] }], barrierLsn: null };
const changing: SyncState = { sets: [...both.sets, { need: 1, standbys: ['i-2'] }], barrierLsn: '0/3000148' };
const alone: SyncState = { sets: [{ need: 0, standbys: [] }], barrierLsn: null };

const position = (overrides: Partial<PrimaryPosition> = {}): PrimaryPosition => ({
  ...{ node: 'i-1', timeline: 1, lsn: '16/B374D848', atMs: T0 },
  ...overrides,
});

/** What the ledger holds for a PostgreSQL cluster beside what every cluster has. */
export function postgresLedgerContract(world: () => World): void {
  const ledger = () => world().ledger;
  const of = async (cluster: string) => (await ledger().read(cluster)).cluster;

  describe('Ledger: acknowledgements', () => {
    it('are kept whole, changed from what was seen, and taken away', async () => {
      const c = aCluster();
      await ledger().setSync(c, null, both, { epoch: 0 });
      expect(await of(c)).toEqual({ ...EMPTY_LEDGER, sync: both });
      await ledger().setSync(c, both, changing, { epoch: 0 });
      expect((await of(c)).sync).toEqual(changing);
      await ledger().setSync(c, changing, alone, { epoch: 0 });
      expect((await of(c)).sync).toEqual(alone);
      await ledger().setSync(c, alone, null, { epoch: 0 });
      expect(await of(c)).toEqual(EMPTY_LEDGER);
    });

    it.each([
      ['nothing', null],
      ['other standbys', { ...changing, sets: [{ need: 1, standbys: ['i-2', 'i-4'] }] }],
      ['another count', { ...both, sets: [{ need: 2, standbys: ['i-2', 'i-3'] }] }],
      ['another order of sets', { ...changing, sets: [...changing.sets].reverse() }],
      ['another barrier', { ...changing, barrierLsn: '0/3000149' }],
      ['no barrier', { ...changing, barrierLsn: null }],
    ] satisfies [string, SyncState | null][])('are left alone when %s was expected', async (_what, expected) => {
      const c = aCluster();
      await ledger().setSync(c, null, changing, { epoch: 0 });
      await expect(ledger().setSync(c, expected, alone, { epoch: 0 })).rejects.toBeInstanceOf(Conflict);
      expect((await of(c)).sync).toEqual(changing);
    });

    it('are left alone when some were expected and there are none', async () => {
      const c = aCluster();
      await expect(ledger().setSync(c, both, alone, { epoch: 0 })).rejects.toBeInstanceOf(Conflict);
      expect((await of(c)).sync).toBeNull();
    });

    it('of two hands at once one wins, and what it wrote stands', async () => {
      const c = aCluster();
      await ledger().setSync(c, null, both, { epoch: 0 });
      const wanted = [changing, alone];
      const hands = await Promise.allSettled(wanted.map((next) => ledger().setSync(c, both, next, { epoch: 0 })));
      const refused = hands.filter((h) => h.status === 'rejected');
      expect(refused).toHaveLength(1);
      expect(refused[0]?.reason).toBeInstanceOf(Conflict);
      expect((await of(c)).sync).toEqual(wanted[hands.findIndex((h) => h.status === 'fulfilled')]);
    });

    it('a write that is repeated because its answer was lost is as good', async () => {
      const c = aCluster();
      await ledger().setSync(c, null, both, { epoch: 0 });
      await ledger().setSync(c, null, both, { epoch: 0 });
      await ledger().setSync(c, both, changing, { epoch: 0 });
      await ledger().setSync(c, both, changing, { epoch: 0 });
      await ledger().setSync(c, changing, null, { epoch: 0 });
      await ledger().setSync(c, changing, null, { epoch: 0 });
      expect((await of(c)).sync).toBeNull();
    });

    it('reconcile does not change them at another epoch, nor under anybody’s claim', async () => {
      const c = aCluster();
      await ledger().setWriter(c, 0, 'i-1');
      for (const stale of [0, 2]) {
        await expect(ledger().setSync(c, null, both, { epoch: stale })).rejects.toBeInstanceOf(Conflict);
      }
      await ledger().claim(c, aClaim);
      await expect(ledger().setSync(c, null, both, { epoch: 1 })).rejects.toBeInstanceOf(Conflict);
      await expect(ledger().setSync(c, null, both, { epoch: 2 })).rejects.toBeInstanceOf(Conflict);
      expect((await of(c)).sync).toBeNull();
      await ledger().releaseClaim(c, aClaim.execution);
      await ledger().setSync(c, null, both, { epoch: 2 });
      expect((await of(c)).sync).toEqual(both);
    });

    it('a workflow changes them with its claim only', async () => {
      const c = aCluster();
      const mine = { execution: aClaim.execution };
      await expect(ledger().setSync(c, null, both, mine)).rejects.toBeInstanceOf(Conflict);
      await ledger().claim(c, aClaim);
      await expect(ledger().setSync(c, null, both, { execution: OTHER })).rejects.toBeInstanceOf(Conflict);
      expect((await of(c)).sync).toBeNull();
      await ledger().setSync(c, null, both, mine);
      expect(await of(c)).toMatchObject({ sync: both, claim: aClaim, epoch: 1 });
      await ledger().releaseClaim(c, aClaim.execution);
      await expect(ledger().setSync(c, both, alone, mine)).rejects.toBeInstanceOf(Conflict);
    });
  });

  describe('Ledger: the primary’s position and what was accepted', () => {
    it('the latest position by its time stays, whichever comes last', async () => {
      const c = aCluster();
      await ledger().notePosition(c, position());
      await ledger().notePosition(c, position({ lsn: '0/0', timeline: 2, atMs: T0 + 5 }));
      await ledger().notePosition(c, position({ lsn: 'FF/0', atMs: T0 + 4 }));
      await ledger().notePosition(c, position({ lsn: 'FF/1', atMs: T0 + 5 }));
      expect((await of(c)).position).toEqual(position({ lsn: '0/0', timeline: 2, atMs: T0 + 5 }));
    });

    it('of many positions at once the latest stays', async () => {
      const c = aCluster();
      const times = [3, 1, 4, 1, 5, 9, 2, 6];
      await Promise.all(times.map((t) => ledger().notePosition(c, position({ lsn: `0/${t}`, atMs: T0 + t }))));
      expect((await of(c)).position).toEqual(position({ lsn: '0/9', atMs: T0 + 9 }));
    });

    it('the highest number of a timeline stays, whichever is noted last', async () => {
      const c = aCluster();
      for (const timeline of [2, 4, 3]) await ledger().noteTimeline(c, timeline);
      expect(await of(c)).toEqual({ ...EMPTY_LEDGER, newestTimeline: 4 });
      await ledger().setWriter(c, 0, 'i-2');
      expect((await of(c)).newestTimeline).toBe(4);
    });

    it('an accepted loss is set, taken back, and used up by the next writer', async () => {
      const c = aCluster();
      const accepted = { node: 'i-2', by: 'ada', atMs: T0 };
      await ledger().setAccepted(c, accepted);
      expect(await of(c)).toEqual({ ...EMPTY_LEDGER, accepted });
      await ledger().setAccepted(c, null);
      expect((await of(c)).accepted).toBeNull();
      await ledger().setAccepted(c, accepted);
      await expect(ledger().setWriter(c, 7, 'i-2')).rejects.toBeInstanceOf(Conflict);
      expect((await of(c)).accepted).toEqual(accepted);
      await ledger().setWriter(c, 0, 'i-2');
      expect(await of(c)).toEqual({ ...EMPTY_LEDGER, epoch: 1, writer: 'i-2' });
    });
  });
}
