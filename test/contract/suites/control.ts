import { describe, expect, it } from 'vitest';
import type { RecoveryMode } from '../../../lambdas/model/ledger.ts';
import type { RecoveryInput } from '../../../lambdas/model/recovery.ts';
import { aSpec } from '../../fakes/index.ts';
import { poll } from '../moto.ts';
import type { World } from '../world.ts';
import { aCluster } from '../world.ts';

export function workflowsContract(world: () => World): void {
  const input = (overrides: Partial<RecoveryInput> = {}): RecoveryInput => ({
    cluster: 'orders',
    incident: 'inc-1',
    mode: 'replace',
    node: 'i-1',
    reason: 'terminated',
    ...overrides,
  });

  describe('Workflows', () => {
    it.each([
      ['rejoin', 'replace'],
      ['replace', 'replace'],
      ['add', 'replace'],
      ['roll', 'replace'],
      ['retire', 'replace'],
      ['bootstrap', 'bootstrap'],
      ['failover', 'failover'],
      ['switchover', 'switchover'],
      ['rolling', 'rolling'],
    ] satisfies [RecoveryMode, string][])('mode %s runs on the machine %s', async (mode, machine) => {
      const execution = await world().workflows.start(`orders-${mode}`, input({ mode, node: null }));
      expect(execution).toMatch(new RegExp(`:execution:${machine}:orders-${mode}$`));
      expect(await world().workflows.state(execution)).toBe('RUNNING');
    });

    it('an execution of that name is as good, whatever its input and whether or not it ended', async () => {
      const first = await world().workflows.start('orders-2', input());
      expect(await world().workflows.start('orders-2', input())).toBe(first);
      expect(await world().workflows.start('orders-2', input({ reason: 'another' }))).toBe(first);
      await world().endExecution(first, 'ABORTED');
      expect(await world().workflows.start('orders-2', input())).toBe(first);
      expect(await world().workflows.state(first)).toBe('ABORTED');
    });

    it('an execution that never was is not found', async () => {
      const arn = await world().workflows.start('orders-3', input());
      expect(await world().workflows.state(arn.replace('orders-3', 'orders-none'))).toBe('NOT_FOUND');
    });
  });
}

export function requestsContract(world: () => World): void {
  const sorted = (list: readonly { readonly cluster: string; readonly cause: string }[]) =>
    list.map(({ cluster, cause }) => `${cluster}: ${cause}`).sort();

  describe('ReconcileRequests', () => {
    it('sends any number, one message each', async () => {
      const all = Array.from({ length: 23 }, (_, n) => ({ cluster: `many-${n}`, cause: 'e1' }));
      await world().requests.send(all);
      expect(sorted(await world().takeRequests())).toEqual(sorted(all));
      await world().requests.send([]);
      expect(await world().takeRequests()).toEqual([]);
    });

    it('the same cause for a cluster is one message, another cause or another cluster is another', async () => {
      const [a, b] = [aCluster(), aCluster()];
      await world().requests.send([{ cluster: a, cause: 'e1' }]);
      await world().requests.send([
        { cluster: a, cause: 'e1' },
        { cluster: a, cause: 'e2' },
        { cluster: b, cause: 'e1' },
      ]);
      expect(sorted(await world().takeRequests())).toEqual([`${a}: e1`, `${a}: e2`, `${b}: e1`].sort());
    });

    it('takes causes of any length and alphabet', async () => {
      const cause = `${'x'.repeat(600)} – ünï`;
      const cluster = aCluster();
      await world().requests.send([{ cluster, cause }]);
      expect(sorted(await world().takeRequests())).toEqual([`${cluster}: ${cause}`]);
    });

    it('sends later by way of the signals', async () => {
      const cluster = aCluster();
      await world().requests.sendLater(cluster, 0, 'later-1');
      expect(sorted(await world().takeDelayed())).toEqual([`${cluster}: later-1`]);
      await world().requests.sendLater(cluster, 900, 'later-2');
    });

    it.each([-1, 901, 1.5, Number.NaN])('refuses a delay of %d seconds', async (delay) => {
      await expect(world().requests.sendLater(aCluster(), delay, 'x')).rejects.toThrow(`delaySeconds is ${delay}`);
    });
  });
}

export function storesContract(world: () => World): void {
  describe('Specs', () => {
    it('a cluster without a parameter is null', async () => {
      expect(await world().specs.get(aCluster())).toBeNull();
    });

    it('reads a specification back', async () => {
      const spec = aSpec({ name: aCluster() });
      await world().addSpec(spec.name, JSON.stringify(spec));
      expect(await world().specs.get(spec.name)).toEqual({ ok: true, spec });
    });

    it.each([
      ['not JSON', '{', /^$/],
      ['another version', '{"version":2}', /version/],
      ['the specification of another cluster', JSON.stringify(aSpec({ name: 'somebody' })), /^name$/],
    ])('%s is answered, not thrown', async (_what, json, path) => {
      const c = aCluster();
      await world().addSpec(c, json);
      const result = await world().specs.get(c);
      if (result === null || result.ok) throw new Error(`expected problems, received ${JSON.stringify(result)}`);
      expect(result.problems.map((p) => p.path)).toEqual(expect.arrayContaining([expect.stringMatching(path)]));
    });

    it('lists all of them, more than a page, the wrong ones too', async () => {
      const good = Array.from({ length: 23 }, () => aSpec({ name: aCluster() }));
      for (const spec of good) await world().addSpec(spec.name, JSON.stringify(spec));
      const bad = aCluster();
      await world().addSpec(bad, '[]');
      const listed = new Map((await world().specs.list()).map((l) => [l.cluster, l.result]));
      for (const spec of good) expect(listed.get(spec.name)).toEqual({ ok: true, spec });
      expect(listed.get(bad)).toMatchObject({ ok: false });
    });

    it('lists what it listed before, for whom that is new enough', async () => {
      const names = async (maxAgeMs?: number): Promise<readonly string[]> =>
        (await world().specs.list(maxAgeMs === undefined ? {} : { maxAgeMs })).map((l) => l.cluster);
      const before = await names();
      const spec = aSpec({ name: aCluster() });
      await world().addSpec(spec.name, JSON.stringify(spec));
      expect(await names(300_000)).toEqual(before);
      expect(await names()).toContain(spec.name);
      const later = aSpec({ name: aCluster() });
      await world().addSpec(later.name, JSON.stringify(later));
      expect(await names(300_000)).not.toContain(later.name);
      await world().passMinutes(6);
      expect(await names(300_000)).toContain(later.name);
    });
  });

  describe('Secrets', () => {
    it('reads the credentials; fresh sees a rotation', async () => {
      const arn = await world().addSecret('rejoin', 'one');
      expect(await world().secrets.credentials(arn)).toEqual({ user: 'rejoin', password: 'one' });
      await world().changeSecret(arn, 'rejoin', 'two');
      expect(await world().secrets.credentials(arn, { fresh: true })).toEqual({ user: 'rejoin', password: 'two' });
      await world().changeSecret(arn, 'rejoin', 'three');
      await world().passMinutes(6);
      expect(await world().secrets.credentials(arn)).toEqual({ user: 'rejoin', password: 'three' });
    });

    it('a secret that does not exist is an error', async () => {
      const arn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:none-AbCdEf';
      await expect(world().secrets.credentials(arn)).rejects.toThrow();
    });
  });

  describe('Notifications', () => {
    it('reach the topic with subject and body', async () => {
      await world().notifications.publish('orders: node replaced', 'What happened and why.');
      const [message, ...others] = await world().takePublished();
      expect(others).toEqual([]);
      expect(message?.subject).toBe('orders: node replaced');
      expect(message?.body).toContain('What happened and why.');
    });
  });

  describe('HostCommands', () => {
    it('a script runs to its end', async () => {
      const id = await world().addInstance({});
      const command = await world().hosts.start(id, 'galera-position', {});
      await poll('the command to end', 10_000, async () => (await world().hosts.state(id, command)).kind !== 'running');
      expect((await world().hosts.state(id, command)).kind).toBe('succeeded');
    });
  });
}
