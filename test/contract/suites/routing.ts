import { describe, expect, it } from 'vitest';
import { CLUSTER_TAG } from '../../../lambdas/model/spec.ts';
import type { World } from '../world.ts';
import { aCluster } from '../world.ts';

export function routingContract(world: () => World): void {
  describe('TargetGroups', () => {
    const groupOfTwo = async () => {
      const arn = await world().addTargetGroup();
      const c = aCluster();
      const ids = [await world().addInstance({ [CLUSTER_TAG]: c }), await world().addInstance({ [CLUSTER_TAG]: c })];
      return { arn, targets: ids.map((id) => ({ id, port: 3306 })) };
    };
    const inService = async (arn: string) =>
      (await world().targetGroups.health(arn)).filter((t) => t.state !== 'draining').map((t) => t.id);

    it('a new group is empty', async () => {
      expect(await world().targetGroups.health(await world().addTargetGroup())).toEqual([]);
    });

    it('registers targets with their ports; again changes nothing; none is fine', async () => {
      const { arn, targets } = await groupOfTwo();
      await world().targetGroups.register(arn, targets);
      await world().targetGroups.register(arn, targets.slice(0, 1));
      await world().targetGroups.register(arn, []);
      const found = await world().targetGroups.health(arn);
      expect(found.map(({ id, port }) => ({ id, port })).sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
        targets.sort((a, b) => (a.id < b.id ? -1 : 1)),
      );
      for (const t of found) expect(['initial', 'healthy', 'unused']).toContain(t.state);
    });

    it('deregisters; one that is not there is fine and does not keep the others in', async () => {
      const { arn, targets } = await groupOfTwo();
      await world().targetGroups.register(arn, targets);
      await world().targetGroups.deregister(arn, [{ id: 'i-0fffffffffffffff0', port: 3306 }, ...targets.slice(0, 1)]);
      await world().targetGroups.deregister(arn, targets.slice(0, 1));
      await world().targetGroups.deregister(arn, []);
      expect(await inService(arn)).toEqual([targets[1]?.id]);
    });

    it('a target that left can come back', async () => {
      const { arn, targets } = await groupOfTwo();
      await world().targetGroups.register(arn, targets);
      await world().targetGroups.deregister(arn, targets);
      await world().targetGroups.register(arn, targets);
      expect((await inService(arn)).sort()).toEqual(targets.map((t) => t.id).sort());
    });

    it('sets how connections end once, and again only when something differs', async () => {
      const arn = await world().addTargetGroup();
      expect(await world().targetGroups.ensureTermination(arn, 10)).toBe(true);
      expect(await world().targetGroups.ensureTermination(arn, 10)).toBe(false);
      expect(await world().targetGroups.ensureTermination(arn, 0)).toBe(true);
      expect(await world().targetGroups.ensureTermination(arn, 0)).toBe(false);
    });

    it('a group that does not exist is an error', async () => {
      const arn = (await world().addTargetGroup()).replace(/\/[^/]*$/, '/0000000000000000');
      await expect(world().targetGroups.health(arn)).rejects.toThrow(/not found/i);
    });
  });

  describe('DnsZones', () => {
    it('a name without records reads as empty', async () => {
      const zone = await world().addZone('empty.test.');
      const nothing = { values: [], ttlSeconds: null, owner: null };
      expect(await world().dns.read(zone, 'orders.empty.test.')).toEqual(nothing);
    });

    it('upserts the record with its owner, and moves it', async () => {
      const zone = await world().addZone('ours.test.');
      await world().dns.upsert(zone, 'orders.ours.test.', '10.0.0.4', 5, 'orders');
      expect(await world().dns.read(zone, 'orders.ours.test.')).toEqual({
        values: ['10.0.0.4'],
        ttlSeconds: 5,
        owner: 'orders',
      });
      await world().dns.upsert(zone, 'orders.ours.test.', '10.0.0.5', 10, 'orders');
      expect(await world().dns.read(zone, 'orders.ours.test.')).toEqual({
        values: ['10.0.0.5'],
        ttlSeconds: 10,
        owner: 'orders',
      });
    });

    it('a record without our mark has no owner', async () => {
      const zone = await world().addZone('foreign.test.');
      await world().addForeignRecord(zone, 'orders.foreign.test.', '192.0.2.1');
      expect(await world().dns.read(zone, 'orders.foreign.test.')).toMatchObject({
        values: ['192.0.2.1'],
        owner: null,
      });
    });

    it('is not misled by neighbours: names below, beside, and many of them', async () => {
      const zone = await world().addZone('busy.test.');
      await world().dns.upsert(zone, 'orders.busy.test.', '10.0.0.4', 5, 'orders');
      await world().dns.upsert(zone, 'orders2.busy.test.', '10.0.0.9', 5, 'orders2');
      for (let n = 10; n < 34; n += 1) await world().addForeignRecord(zone, `0${n}.orders.busy.test.`, `192.0.2.${n}`);
      expect(await world().dns.read(zone, 'orders.busy.test.')).toEqual({
        values: ['10.0.0.4'],
        ttlSeconds: 5,
        owner: 'orders',
      });
      expect(await world().dns.read(zone, '010.orders.busy.test.')).toMatchObject({
        values: ['192.0.2.10'],
        owner: null,
      });
      expect(await world().dns.read(zone, 'order.busy.test.')).toEqual({ values: [], ttlSeconds: null, owner: null });
    });

    it('a zone that does not exist is an error', async () => {
      await expect(world().dns.read('Z00000000000000000000', 'a.test.')).rejects.toThrow(/no hosted zone/i);
    });
  });
}
