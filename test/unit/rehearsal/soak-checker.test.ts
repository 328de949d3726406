import { describe, expect, it } from 'vitest';
import type { DirectAcknowledgement } from '../../../rehearsal/client/direct.ts';
import { account } from '../../../rehearsal/report.ts';
import { WriteChecker } from '../../../rehearsal/soak/checker.ts';
import type { Fault } from '../../../rehearsal/soak/faults.ts';
import { steadily, strike } from '../../../rehearsal/soak/strike.ts';
import { Timeline } from '../../../rehearsal/ui/timeline.ts';
import type { World } from '../../../rehearsal/world.ts';

/** Two nodes with the same rows, unless a test takes some away or puts some back; `i-1` is the writer. */
class FakeCluster {
  readonly rows: Readonly<Record<string, number[]>> = { 'i-1': [], 'i-2': [] };
  readonly deletions: string[] = [];
  readonly seen: number[][] = [];
  readonly seenDirectly: number[][] = [];
  writers = ['i-1'];
  differences: string[] = [];
  private told: number[] = [];
  private toldDirectly: DirectAcknowledgement[] = [];

  write(...ids: number[]): void {
    for (const stored of Object.values(this.rows)) stored.push(...ids);
    this.told.push(...ids);
  }

  writeDirectly(node: string, beganAtMs: number): void {
    this.toldDirectly.push({ node, sequence: beganAtMs, beganAtMs, acknowledgedAtMs: beganAtMs });
  }

  checker(): WriteChecker {
    return new WriteChecker(this.world(), () => this.writers);
  }

  private query(address: string, sql: string): readonly Record<string, unknown>[] {
    const upTo = Number(/<= (-?\d+)$/.exec(sql)?.[1]);
    if (sql.startsWith('SELECT COUNT(*)'))
      return [{ n: String(this.rows[address]?.filter((id) => id <= upTo).length) }];
    this.deletions.push(`${address}: ${sql}`);
    if (sql.startsWith('DELETE FROM writes'))
      for (const stored of Object.values(this.rows)) stored.splice(0, Infinity, ...stored.filter((id) => id > upTo));
    return [];
  }

  private world(): World {
    return {
      timeline: new Timeline(false, () => undefined),
      hosts: { ip: (id: string) => id },
      writer: () => 'i-1',
      state: () => ({
        nodes: Object.keys(this.rows).map((id) => ({ id, address: id, synced: true })),
        ledger: { writer: 'i-1' },
      }),
      client: {
        news: () => {
          const acknowledged = this.told.splice(0).map((id) => ({ id, beganAtMs: id, acknowledgedAtMs: id }));
          return Promise.resolve({ acknowledged, direct: this.toldDirectly.splice(0) });
        },
      },
      engine: {
        directWriters: true,
        query: (address: string, sql: string) => Promise.resolve(this.query(address, sql)),
        compare: (journal: { acknowledged: number[]; direct: readonly DirectAcknowledgement[] }) => {
          this.seen.push([...journal.acknowledged]);
          this.seenDirectly.push(journal.direct.map((d) => d.beganAtMs));
          return Promise.resolve({
            accounting: account(journal.acknowledged, Object.values(this.rows)),
            directLost: journal.direct.filter((d) => d.sequence === 666).map((d) => `${d.node}/${d.sequence}`),
            differences: this.differences,
          });
        },
      },
    } as unknown as World;
  }
}

describe('the check of the writes during a soak', () => {
  it('looks only for what came since the last one, and deletes what it has found', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.write(1, 2, 3);
    await checker.compare();
    cluster.write(4, 5);
    expect(await checker.compare()).toMatchObject({ comparisons: 2, compared: 5, lost: 0, duplicated: 0 });
    expect(cluster.seen).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
    expect(cluster.rows).toEqual({ 'i-1': [], 'i-2': [] });
  });

  it('deletes on the writer, some rows at a time, and never a row that it has not found', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.write(...Array.from({ length: 1200 }, (_, i) => i + 1));
    for (const stored of Object.values(cluster.rows)) stored.push(1201);
    await checker.compare();
    expect(cluster.deletions.slice(0, 3)).toEqual(
      [500, 1000, 1200].map((n) => `i-1: DELETE FROM writes WHERE id <= ${n}`),
    );
    expect(cluster.rows['i-2']).toEqual([1201]);
  });

  it('finds a lost write, and deletes nothing then', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.write(1, 2, 3);
    cluster.rows['i-2']?.splice(1, 1);
    expect(await checker.compare()).toMatchObject({ lost: 1, firstLost: [2] });
    expect(cluster.deletions).toEqual([]);
  });

  it('finds a row that is there twice', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.write(1, 2);
    cluster.rows['i-1']?.push(2);
    expect(await checker.compare()).toMatchObject({ duplicated: 1 });
  });

  it('finds a node that has fallen back to before a deletion', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.write(1, 2, 3);
    await checker.compare();
    cluster.write(4);
    cluster.rows['i-2']?.push(2, 3);
    expect(await checker.compare()).toMatchObject({ lost: 0, duplicated: 2 });
  });

  it('keeps direct rows in view for a minute, and leaves those that are older', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.write(1);
    const lately = Date.now() - 30_000;
    cluster.writeDirectly('i-1', lately - 60_000);
    cluster.writeDirectly('i-1', lately);
    await checker.compare();
    await checker.compare();
    expect(cluster.seenDirectly).toEqual([[lately - 60_000, lately], [lately]]);
    const deletedUpTo = Number(cluster.deletions.find((d) => d.includes('FROM direct'))?.split('<= ')[1]);
    expect(deletedUpTo).toBeGreaterThan(lately - 60_000);
    expect(deletedUpTo).toBeLessThan(lately);
  });

  it('finds a direct row that is lost, and goes on telling of it', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.write(1);
    cluster.writeDirectly('i-1', 666);
    expect(await checker.compare()).toMatchObject({ directAcknowledged: 1, directLost: 1 });
    expect(await checker.compare()).toMatchObject({ directAcknowledged: 1, directLost: 1 });
  });

  it('finds a node that acknowledged again after its successor had begun to', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.writers = ['i-1', 'i-2'];
    cluster.write(1);
    for (const [at, node] of ['i-1', 'i-1', 'i-2'].entries()) cluster.writeDirectly(node, Date.now() + at);
    expect(await checker.compare()).toMatchObject({ overlapping: [] });
    cluster.writeDirectly('i-1', Date.now() + 10);
    expect(await checker.compare()).toMatchObject({ overlapping: ['i-1'] });
  });

  it('compares the nodes with each other only when nobody writes any more', async () => {
    const cluster = new FakeCluster();
    const checker = cluster.checker();
    cluster.differences = ['direct on i-2'];
    expect(await checker.compare()).toMatchObject({ differences: [] });
    expect(await checker.conclude()).toMatchObject({ differences: ['direct on i-2'], comparisons: 2 });
  });
});

describe('a strike', () => {
  it('is over when the cluster has been whole for a while without a break, and since the beginning of that', () => {
    const look = steadily(5000);
    const looks: [number, boolean][] = [
      [0, true],
      [4900, true],
      [5000, false],
      [6000, true],
      [10_900, true],
      [11_000, true],
    ];
    expect(looks.map(([atMs, holds]) => look(holds, atMs))).toEqual([null, null, null, null, null, 6000]);
  });

  const world = {
    timeline: new Timeline(false, () => undefined),
    client: {
      reset: () => undefined,
      figures: () => ({ writeOutageMs: 40, writeErrors: 2, lastAcknowledgedAtMs: Date.now() - 9000 }),
    },
  } as unknown as World;

  it('that does not heal is answered with the reason, and with a silence that lasts', async () => {
    const kind: Fault = {
      name: 'nasty',
      summary: '',
      engines: ['galera'],
      breaksNetwork: false,
      strike: () => Promise.reject(new Error('waited 60 s for traffic to leave, in vain')),
    };
    const result = await strike(world, { number: 4, kind, calmMs: 0, node: 0, length: 0 });
    expect(result).toMatchObject({
      number: 4,
      kind: 'nasty',
      wholeAfterMs: null,
      why: 'waited 60 s for traffic to leave, in vain',
      writeErrors: 2,
    });
    expect(result.writeGapMs).toBeGreaterThanOrEqual(9000);
  });
});
