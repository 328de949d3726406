import { describe, expect, it } from 'vitest';
import type { LaunchRequest } from '../../../lambdas/cloud/ports.ts';
import { CLUSTER_TAG, INCIDENT_TAG, REPLACES_TAG, TEMPLATE_VERSION_TAG } from '../../../lambdas/model/spec.ts';
import { poll } from '../moto.ts';
import type { World } from '../world.ts';
import { aCluster } from '../world.ts';

const UNKNOWN = 'i-0fffffffffffffff0';

export function instancesContract(world: () => World): void {
  const request = (cluster: string, overrides: Partial<LaunchRequest> = {}): LaunchRequest => ({
    cluster,
    incident: 'inc-1',
    replaces: UNKNOWN,
    launchTemplate: world().template,
    subnetId: world().subnet.id,
    clientToken: `token-${cluster}`,
    withoutDevice: null,
    ...overrides,
  });
  const stateOf = async (id: string) => (await world().instances.byIds([id]))[0]?.state;

  describe('Instances', () => {
    it('finds the instances of a cluster by their tag, and no others', async () => {
      const c = aCluster();
      const ids = [await world().addInstance({ [CLUSTER_TAG]: c }), await world().addInstance({ [CLUSTER_TAG]: c })];
      await world().addInstance({ [CLUSTER_TAG]: aCluster() });
      await world().addInstance({});
      expect((await world().instances.ofCluster(c)).map((i) => i.id).sort()).toEqual(ids.sort());
      expect(await world().instances.ofCluster(aCluster())).toEqual([]);
    });

    it('finds the instances of every cluster at once, by cluster, and none that is of no cluster', async () => {
      const [c, d] = [aCluster(), aCluster()];
      const ids = [await world().addInstance({ [CLUSTER_TAG]: c }), await world().addInstance({ [CLUSTER_TAG]: c })];
      const other = await world().addInstance({ [CLUSTER_TAG]: d });
      const stranger = await world().addInstance({ Name: 'x' });
      const all = await world().instances.ofEveryCluster();
      expect(
        all
          .get(c)
          ?.map((i) => i.id)
          .sort(),
      ).toEqual(ids.sort());
      expect(all.get(d)).toEqual(await world().instances.ofCluster(d));
      expect(all.get(d)?.map((i) => i.id)).toEqual([other]);
      expect([...all.values()].flat().map((i) => i.id)).not.toContain(stranger);
      expect(all.has(aCluster())).toBe(false);
    });

    it('answers the known ones of many ids, each once, and nothing for none', async () => {
      const id = await world().addInstance({ Name: 'x' });
      const unknown = Array.from({ length: 230 }, (_, n) => `i-0ffffffffffff${n.toString(16).padStart(4, '0')}`);
      const found = await world().instances.byIds([...unknown.slice(0, 115), id, ...unknown.slice(115), id]);
      expect(found.map((i) => i.id)).toEqual([id]);
      expect(found[0]?.tags).toMatchObject({ Name: 'x' });
      expect(await world().instances.byIds([])).toEqual([]);
    });

    it('launches from the template into the subnet, marked as ours', async () => {
      const c = aCluster();
      const launched = await world().instances.launch(request(c));
      expect(launched).toMatchObject({ zone: world().subnet.zone, subnetId: world().subnet.id });
      expect(['pending', 'running']).toContain(launched.state);
      const [described] = await world().instances.ofCluster(c);
      expect(described?.id).toBe(launched.id);
      expect(described?.privateIp).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
      expect(described?.tags).toMatchObject({ [CLUSTER_TAG]: c, [INCIDENT_TAG]: 'inc-1', [REPLACES_TAG]: UNKNOWN });
      expect(described?.volumes.map((v) => v.device)).toContain('/dev/sdf');
      const data = described?.volumes.find((v) => v.device === '/dev/sdf');
      const [volume] = await world().volumes.byIds([data?.volumeId ?? '']);
      expect(volume).toMatchObject({ attachedTo: launched.id, device: '/dev/sdf', tags: { [CLUSTER_TAG]: c } });
    });

    it('what is launched carries the number of the version that it was launched from', async () => {
      const [c, newer] = [aCluster(), aCluster()];
      await world().instances.launch(request(c));
      await world().instances.launch(request(newer, { launchTemplate: { ...world().template, version: '$Latest' } }));
      const versions = async (cluster: string) =>
        (await world().instances.ofCluster(cluster)).map((i) => i.tags[TEMPLATE_VERSION_TAG]);
      expect(await versions(c)).toEqual(['1']);
      expect(await versions(newer)).toEqual(['2']);
    });

    it.each([
      ['$Default', '1'],
      ['$Latest', '2'],
      ['1', '1'],
      ['2', '2'],
    ])('version %s of the template is number %s', async (version, number) => {
      expect(await world().instances.templateVersion({ ...world().template, version })).toBe(number);
    });

    it('a version or a template that does not exist is refused, naming it', async () => {
      const { id } = world().template;
      await expect(world().instances.templateVersion({ id, version: '7' })).rejects.toThrow(/7/);
      const unknown = 'lt-0ffffffffffffff00';
      await expect(world().instances.templateVersion({ id: unknown, version: '$Latest' })).rejects.toThrow(/template/i);
    });

    it('an instance that replaces none carries no such tag', async () => {
      const c = aCluster();
      await world().instances.launch(request(c, { replaces: null }));
      expect((await world().instances.ofCluster(c))[0]?.tags).not.toHaveProperty([REPLACES_TAG]);
    });

    it('leaves out the device that a surviving volume will take', async () => {
      const c = aCluster();
      await world().instances.launch(request(c, { withoutDevice: '/dev/sdf' }));
      expect((await world().instances.ofCluster(c))[0]?.volumes.map((v) => v.device)).not.toContain('/dev/sdf');
    });

    it('refuses a subnet that does not exist', async () => {
      const bad = request(aCluster(), { subnetId: 'subnet-0fffffffffffffff0' });
      await expect(world().instances.launch(bad)).rejects.toThrow(/subnet/i);
    });

    it('stops an instance, and a stopped one again', async () => {
      const id = await world().addInstance({ [CLUSTER_TAG]: aCluster() });
      expect(['stopping', 'stopped']).toContain(await world().instances.stop(id));
      await poll(`${id} to be stopped`, 10_000, async () => (await stateOf(id)) === 'stopped');
      await world().instances.stop(id);
      expect(await stateOf(id)).toBe('stopped');
    });

    it('terminates an instance, which stays described with its tags; and a terminated one again', async () => {
      const c = aCluster();
      const id = await world().addInstance({ [CLUSTER_TAG]: c });
      expect(['shutting-down', 'terminated']).toContain(await world().instances.terminate(id));
      await poll(`${id} to be terminated`, 10_000, async () => (await stateOf(id)) === 'terminated');
      expect(await world().instances.ofCluster(c)).toMatchObject([{ id, state: 'terminated' }]);
      expect((await world().instances.ofEveryCluster()).get(c)).toMatchObject([{ id, state: 'terminated' }]);
      await world().instances.terminate(id);
      expect(await stateOf(id)).toBe('terminated');
    });

    it.each(['stop', 'terminate'] as const)('%s of an unknown instance is an error that names it', async (act) => {
      await expect(world().instances[act](UNKNOWN)).rejects.toThrow(UNKNOWN);
    });
  });

  describe('Volumes', () => {
    const launchWithVolume = async () => {
      const c = aCluster();
      const instance = await world().instances.launch(request(c));
      const [described] = await world().instances.byIds([instance.id]);
      const volumeId = described?.volumes.find((v) => v.device === '/dev/sdf')?.volumeId;
      if (volumeId === undefined) throw new Error(`instance ${instance.id} has no volume at /dev/sdf`);
      return { c, instance, volumeId };
    };

    it('finds volumes by id and by cluster; unknown ids are missing from the answer', async () => {
      const { c, volumeId } = await launchWithVolume();
      expect(await world().volumes.byIds([volumeId, 'vol-0fffffffffffffff0'])).toMatchObject([
        { id: volumeId, state: 'in-use', zone: world().subnet.zone, device: '/dev/sdf' },
      ]);
      expect((await world().volumes.ofCluster(c)).map((v) => v.id)).toContain(volumeId);
    });

    it('moves to another instance; each step may be repeated', async () => {
      const { c, volumeId } = await launchWithVolume();
      const other = await world().instances.launch(request(c, { withoutDevice: '/dev/sdf', clientToken: `${c}-2` }));
      await world().volumes.detach(volumeId);
      expect(await world().volumes.byIds([volumeId])).toMatchObject([
        { state: 'available', attachedTo: null, device: null },
      ]);
      await world().volumes.detach(volumeId);
      await world().volumes.attach(volumeId, other.id, '/dev/sdf');
      await world().volumes.attach(volumeId, other.id, '/dev/sdf');
      expect(await world().volumes.byIds([volumeId])).toMatchObject([{ state: 'in-use', attachedTo: other.id }]);
    });

    it('is not attached to a second instance', async () => {
      const { volumeId, instance } = await launchWithVolume();
      const other = await world().instances.launch(request(aCluster(), { withoutDevice: '/dev/sdf' }));
      await expect(world().volumes.attach(volumeId, other.id, '/dev/sdf')).rejects.toThrow();
      expect(await world().volumes.byIds([volumeId])).toMatchObject([{ attachedTo: instance.id }]);
    });

    it('is tagged, and keeps the tags that it had', async () => {
      const { c, volumeId } = await launchWithVolume();
      await world().volumes.tag(volumeId, { 'rejoin:kept': 'yes' });
      expect((await world().volumes.byIds([volumeId]))[0]?.tags).toMatchObject({
        [CLUSTER_TAG]: c,
        'rejoin:kept': 'yes',
      });
    });

    it('is deleted once detached; a deleted one again is fine', async () => {
      const { volumeId } = await launchWithVolume();
      await expect(world().volumes.delete(volumeId)).rejects.toThrow();
      await world().volumes.detach(volumeId);
      await world().volumes.delete(volumeId);
      await world().volumes.delete(volumeId);
      expect(await world().volumes.byIds([volumeId])).toEqual([]);
    });
  });
}
