import { describe, expect, it } from 'vitest';
import { Conflict } from '../../../lambdas/cloud/ports.ts';
import type { Claim } from '../../../lambdas/model/ledger.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import type { World } from '../world.ts';
import { aCluster } from '../world.ts';

const T0 = Date.UTC(2026, 0, 15, 2);

const aClaim = (overrides: Partial<Claim> = {}): Claim => ({
  execution: 'arn:aws:states:eu-west-1:123456789012:execution:replace:one',
  incident: 'inc-1',
  mode: 'replace',
  node: 'i-00000000000000001',
  joiner: null,
  donor: null,
  launch: null,
  claimedAtMs: T0,
  ...overrides,
});

const OTHER = 'arn:aws:states:eu-west-1:123456789012:execution:replace:two';

export function ledgerContract(world: () => World): void {
  const ledger = () => world().ledger;

  describe('Ledger: looks', () => {
    it('keeps the latest beginning, whatever order they are noted in', async () => {
      const c = aCluster();
      await ledger().noteLook(c, 2000);
      await ledger().noteLook(c, 1000);
      expect((await ledger().read(c)).cluster).toEqual({ ...EMPTY_LEDGER, lookBeganMs: 2000 });
      await ledger().noteLook(c, 3000);
      expect((await ledger().read(c)).cluster.lookBeganMs).toBe(3000);
    });
  });

  describe('Ledger: epoch and writer', () => {
    it('a cluster never written is empty and the brake is off', async () => {
      expect(await ledger().read(aCluster())).toEqual({
        cluster: EMPTY_LEDGER,
        brake: { engaged: false, reason: null, sinceMs: null },
      });
    });

    it('sets the writer from epoch 0 on and raises the epoch each time', async () => {
      const c = aCluster();
      expect(await ledger().setWriter(c, 0, 'i-1')).toBe(1);
      expect((await ledger().read(c)).cluster.writerVolume).toBeNull();
      expect(await ledger().setWriter(c, 1, 'i-2', 'vol-2')).toBe(2);
      expect((await ledger().read(c)).cluster).toMatchObject({ writer: 'i-2', writerVolume: 'vol-2' });
      expect((await ledger().read(c)).cluster).toMatchObject({ epoch: 2, writer: 'i-2' });
    });

    it.each([0, 2])('refuses a writer with epoch %i when it is 1', async (stale) => {
      const c = aCluster();
      await ledger().setWriter(c, 0, 'i-1');
      await expect(ledger().setWriter(c, stale, 'i-2')).rejects.toBeInstanceOf(Conflict);
      expect((await ledger().read(c)).cluster).toMatchObject({ epoch: 1, writer: 'i-1' });
    });

    it('of two writers at the same epoch one wins', async () => {
      const c = aCluster();
      const both = await Promise.allSettled([ledger().setWriter(c, 0, 'i-1'), ledger().setWriter(c, 0, 'i-2')]);
      expect(both.map((r) => r.status).sort()).toEqual(['fulfilled', 'rejected']);
    });
  });

  describe('Ledger: claim', () => {
    it('is taken, raises the epoch and is read back whole', async () => {
      const c = aCluster();
      await ledger().setWriter(c, 0, 'i-9');
      expect(await ledger().claim(c, aClaim())).toBe(2);
      expect((await ledger().read(c)).cluster).toEqual({ ...EMPTY_LEDGER, epoch: 2, writer: 'i-9', claim: aClaim() });
    });

    it('is read back whole with the launch that it was taken with', async () => {
      const c = aCluster();
      const launch = { replaces: 'i-1', subnetId: 'subnet-1', withoutDevice: '/dev/sdf' };
      await ledger().claim(c, aClaim({ launch }));
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim({ launch }));
    });

    it('taken again by the same execution answers as before and changes nothing', async () => {
      const c = aCluster();
      expect(await ledger().claim(c, aClaim())).toBe(1);
      await ledger().amendClaim(c, aClaim().execution, { joiner: 'i-5' });
      expect(await ledger().claim(c, aClaim())).toBe(1);
      expect((await ledger().read(c)).cluster).toMatchObject({ epoch: 1, claim: { joiner: 'i-5' } });
    });

    it('is refused while another execution holds it, naming that one', async () => {
      const c = aCluster();
      await ledger().claim(c, aClaim());
      const refused = ledger().claim(c, aClaim({ execution: OTHER }));
      await expect(refused).rejects.toBeInstanceOf(Conflict);
      await expect(refused).rejects.toThrow(aClaim().execution);
      expect((await ledger().read(c)).cluster).toMatchObject({ epoch: 1, claim: aClaim() });
    });

    it('of two executions at once one wins', async () => {
      const c = aCluster();
      const both = await Promise.allSettled([
        ledger().claim(c, aClaim()),
        ledger().claim(c, aClaim({ execution: OTHER })),
      ]);
      expect(both.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    });

    it('is refused for a node in maintenance, and granted for another node and for a cluster-wide recovery', async () => {
      const c = aCluster();
      await ledger().setMaintenance(c, { node: 'i-00000000000000001', by: 'ada', sinceMs: T0 });
      await expect(ledger().claim(c, aClaim())).rejects.toThrow(/maintenance by ada/);
      expect((await ledger().read(c)).cluster.claim).toBeNull();
      expect(await ledger().claim(c, aClaim({ node: 'i-00000000000000002' }))).toBe(1);
      const other = aCluster();
      await ledger().setMaintenance(other, { node: 'i-00000000000000001', by: 'ada', sinceMs: T0 });
      expect(await ledger().claim(other, aClaim({ node: null, mode: 'bootstrap' }))).toBe(1);
    });

    it('is refused while the brake is engaged, even to its holder, and granted after the release', async () => {
      const c = aCluster();
      const held = aCluster();
      await ledger().claim(held, aClaim());
      await ledger().engageBrake('too many failures', T0);
      try {
        await expect(ledger().claim(c, aClaim())).rejects.toBeInstanceOf(Conflict);
        await expect(ledger().claim(c, aClaim())).rejects.toThrow(/brake is engaged.*too many failures/);
        await expect(ledger().claim(held, aClaim())).rejects.toBeInstanceOf(Conflict);
        expect((await ledger().read(c)).cluster).toEqual(EMPTY_LEDGER);
      } finally {
        await ledger().releaseBrake('ada', T0);
      }
      expect(await ledger().claim(c, aClaim())).toBe(1);
    });

    it('is amended by its holder only', async () => {
      const c = aCluster();
      await ledger().claim(c, aClaim());
      await ledger().amendClaim(c, aClaim().execution, { joiner: 'i-5' });
      await ledger().amendClaim(c, aClaim().execution, { donor: 'i-6' });
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim({ joiner: 'i-5', donor: 'i-6' }));
      await ledger().amendClaim(c, aClaim().execution, { joiner: null });
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim({ donor: 'i-6' }));
      const launch = { replaces: aClaim().node, subnetId: 'subnet-1', withoutDevice: '/dev/sdf' };
      await ledger().amendClaim(c, aClaim().execution, { launch });
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim({ donor: 'i-6', launch }));
      expect(await ledger().claim(c, aClaim())).toBe(1);
      const other = { replaces: null, subnetId: 'subnet-2', withoutDevice: null };
      await ledger().amendClaim(c, aClaim().execution, { launch: other, joiner: 'i-8' });
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim({ donor: 'i-6', launch: other, joiner: 'i-8' }));
      await expect(ledger().amendClaim(c, OTHER, { launch })).rejects.toBeInstanceOf(Conflict);
      await ledger().amendClaim(c, aClaim().execution, { launch: null, joiner: null });
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim({ donor: 'i-6' }));
      await expect(ledger().amendClaim(c, OTHER, { joiner: 'i-7' })).rejects.toBeInstanceOf(Conflict);
      await expect(ledger().amendClaim(c, OTHER, {})).rejects.toBeInstanceOf(Conflict);
      await expect(ledger().amendClaim(aCluster(), OTHER, { joiner: 'i-7' })).rejects.toBeInstanceOf(Conflict);
      await ledger().amendClaim(c, aClaim().execution, {});
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim({ donor: 'i-6' }));
    });

    it('is released by its holder; by anybody else nothing happens', async () => {
      const c = aCluster();
      await ledger().claim(c, aClaim());
      await ledger().releaseClaim(c, OTHER);
      expect((await ledger().read(c)).cluster.claim).toEqual(aClaim());
      await ledger().releaseClaim(c, aClaim().execution);
      await ledger().releaseClaim(c, aClaim().execution);
      expect((await ledger().read(c)).cluster.claim).toBeNull();
      expect(await ledger().claim(c, aClaim({ execution: OTHER }))).toBe(2);
    });
  });

  describe('Ledger: what else is remembered of a cluster', () => {
    it('maintenance and escalation are set and taken back', async () => {
      const c = aCluster();
      const maintenance = { node: 'i-1', by: 'ada', sinceMs: T0 };
      const escalation = { node: null, incident: 'inc-1', attempts: 3, atMs: T0, reason: 'the joiner never synced' };
      await ledger().setMaintenance(c, maintenance);
      await ledger().setEscalation(c, escalation);
      expect((await ledger().read(c)).cluster).toEqual({ ...EMPTY_LEDGER, maintenance, escalation });
      await ledger().setEscalation(c, { ...escalation, acknowledgedBy: 'ada' });
      expect((await ledger().read(c)).cluster.escalation).toEqual({ ...escalation, acknowledgedBy: 'ada' });
      await ledger().setMaintenance(c, null);
      await ledger().setEscalation(c, null);
      expect((await ledger().read(c)).cluster).toEqual(EMPTY_LEDGER);
    });

    it('maintenance does not begin under a claim, nor beside another node’s, and changes nothing then', async () => {
      const [claimed, busy] = [aCluster(), aCluster()];
      const maintenance = { node: 'i-1', by: 'ada', sinceMs: T0 };
      await ledger().claim(claimed, aClaim());
      await expect(ledger().setMaintenance(claimed, maintenance)).rejects.toBeInstanceOf(Conflict);
      expect((await ledger().read(claimed)).cluster.maintenance).toBeNull();
      await ledger().setMaintenance(busy, maintenance);
      await expect(ledger().setMaintenance(busy, { ...maintenance, node: 'i-2' })).rejects.toBeInstanceOf(Conflict);
      await ledger().setMaintenance(busy, maintenance);
      expect((await ledger().read(busy)).cluster.maintenance).toEqual(maintenance);
    });

    it('suspicions are kept per node', async () => {
      const c = aCluster();
      await ledger().setSuspicion(c, 'i-1', { sinceMs: T0, kind: 'refused' });
      await ledger().setSuspicion(c, 'i-2', { sinceMs: T0 + 1, kind: 'silent' });
      await ledger().setSuspicion(c, 'i-1', null);
      await ledger().setSuspicion(c, 'i-3', null);
      expect((await ledger().read(c)).cluster.suspicions).toEqual({ 'i-2': { sinceMs: T0 + 1, kind: 'silent' } });
    });

    it('fences are kept per node, and noted only by the holder of the claim', async () => {
      const c = aCluster();
      const fence = { atMs: T0, execution: aClaim().execution };
      await expect(ledger().noteFence(c, 'i-1', fence)).rejects.toBeInstanceOf(Conflict);
      await ledger().claim(c, aClaim());
      await expect(ledger().noteFence(c, 'i-1', { ...fence, execution: 'another' })).rejects.toBeInstanceOf(Conflict);
      for (const node of ['i-1', 'i-2']) await ledger().noteFence(c, node, fence);
      await ledger().forgetFence(c, 'i-1');
      await ledger().forgetFence(c, 'i-3');
      expect((await ledger().read(c)).cluster.fences).toEqual({ 'i-2': fence });
    });

    it('who was told to be left over is kept per node', async () => {
      const c = aCluster();
      for (const node of ['i-1', 'i-2']) await ledger().setLeftOver(c, node, T0);
      await ledger().setLeftOver(c, 'i-1', null);
      expect((await ledger().read(c)).cluster.leftOver).toEqual({ 'i-2': T0 });
    });

    it('one incident is open at a time: opening another answers the first, closing needs its id', async () => {
      const c = aCluster();
      const first = { id: 'inc-1', openedAtMs: T0, node: 'i-1', diagnosis: 'NODE_TERMINATED' };
      const second = { ...first, id: 'inc-2', node: null };
      expect(await ledger().openIncident(c, first)).toEqual(first);
      expect(await ledger().openIncident(c, second)).toEqual(first);
      await ledger().closeIncident(c, 'inc-2');
      expect((await ledger().read(c)).cluster.incident).toEqual(first);
      expect((await ledger().read(c)).cluster.epoch).toBe(0);
      await ledger().closeIncident(c, 'inc-1');
      await ledger().closeIncident(c, 'inc-1');
      expect((await ledger().read(c)).cluster).toMatchObject({ incident: null, epoch: 1 });
      expect(await ledger().openIncident(c, second)).toEqual(second);
    });

    it('the lines of an incident land once per key and come in the order of their time', async () => {
      const c = aCluster();
      const line = (atMs: number, what: string) => ({ atMs, who: 'replace', what, why: 'a test' });
      expect(await ledger().incident(c, 'inc-1')).toEqual([]);
      await ledger().record(c, 'inc-1', 'replace/Fence', line(T0 + 2, 'fenced'));
      await ledger().record(c, 'inc-1', 'a key with spaces. and dots', line(T0 + 1, 'claimed'));
      await ledger().record(c, 'inc-1', 'replace/Fence', line(T0 + 9, 'fenced again'));
      await ledger().record(c, 'inc-2', 'replace/Fence', line(T0, 'of another'));
      expect(await ledger().incident(c, 'inc-1')).toEqual([line(T0 + 1, 'claimed'), line(T0 + 2, 'fenced')]);
    });
  });

  describe('Ledger: the fleet', () => {
    it('a node’s failure counts once, with its latest time', async () => {
      const c = aCluster();
      const mine = async (sinceMs: number) => (await ledger().failuresSince(sinceMs)).filter((f) => f.cluster === c);
      await ledger().noteFailure({ cluster: c, node: 'i-1', atMs: T0 });
      await ledger().noteFailure({ cluster: c, node: 'i-1', atMs: T0 + 10, knownSinceMs: T0 - 7 });
      await ledger().noteFailure({ cluster: c, node: 'i-1', atMs: T0 + 5 });
      await ledger().noteFailure({ cluster: c, node: 'i-2', atMs: T0 + 1 });
      expect(await mine(T0)).toEqual([
        { cluster: c, node: 'i-1', atMs: T0 + 10, knownSinceMs: T0 - 7 },
        { cluster: c, node: 'i-2', atMs: T0 + 1, knownSinceMs: T0 + 1 },
      ]);
      expect(await mine(T0 + 10)).toMatchObject([{ cluster: c, node: 'i-1', atMs: T0 + 10 }]);
      expect(await mine(T0 + 11)).toEqual([]);
    });

    it('the brake keeps its first reason until a person releases it', async () => {
      const c = aCluster();
      await ledger().engageBrake('first', T0);
      await ledger().engageBrake('second', T0 + 1);
      expect((await ledger().read(c)).brake).toMatchObject({ engaged: true, reason: 'first', sinceMs: T0 });
      await ledger().releaseBrake('ada', T0 + 2);
      expect((await ledger().read(c)).brake).toEqual({
        ...{ engaged: false, reason: null, sinceMs: null },
        releasedAtMs: T0 + 2,
      });
      await ledger().engageBrake('third', T0 + 3);
      expect((await ledger().read(c)).brake).toEqual({
        ...{ engaged: true, reason: 'third', sinceMs: T0 + 3 },
        releasedAtMs: T0 + 2,
      });
      await ledger().releaseBrake('ada', T0 + 4);
    });

    it('launches take turns: a burst at once, then one after the other, and none that would have to wait for too long', async () => {
      const turn = { burst: 3, perSecond: 2, withinMs: 1000 };
      // Far behind what tests before it may have left.
      const nowMs = T0 + 3_600_000;
      const take = (ms = nowMs): Promise<number | null> => ledger().takeLaunch({ nowMs: ms, ...turn });
      const waits: (number | null)[] = [];
      for (let n = 0; n < 6; n += 1) waits.push(await take());
      expect(waits).toEqual([0, 0, 0, 500, 1000, null]);
      expect(await take(nowMs + 400)).toBeNull();
      expect(await take(nowMs + 500)).toBe(1000);
      expect(await take(nowMs + 10_000)).toBe(0);
      expect(await take(nowMs + 10_000)).toBe(0);
    });

    it('a turn that somebody took with a wrong clock is not waited for', async () => {
      const turn = { burst: 1, perSecond: 2, withinMs: 1000 };
      const nowMs = T0 + 7_200_000;
      expect(await ledger().takeLaunch({ nowMs: nowMs + 600_000, ...turn })).toBe(0);
      expect(await ledger().takeLaunch({ nowMs, ...turn })).toBe(0);
      expect(await ledger().takeLaunch({ nowMs, ...turn })).toBe(500);
    });

    it('launches that take turns at once take different ones', async () => {
      const turn = { nowMs: T0 + 14_400_000, burst: 2, perSecond: 2, withinMs: 60_000 };
      const waits = await Promise.all([1, 2, 3, 4].map(() => ledger().takeLaunch(turn)));
      expect(waits.toSorted((a, b) => (a ?? -1) - (b ?? -1))).toEqual([0, 0, 500, 1000]);
    });
  });
}
