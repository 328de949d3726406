/** The minute function over a bucket in memory. */
import { describe, expect, it } from 'vitest';
import { archiveMinute } from '../../../lambdas/archive/archive.ts';
import { backupDue, drillDue, isAudit } from '../../../lambdas/archive/due.ts';
import type { Listed } from '../../../lambdas/model/archive/catalogue.ts';
import type { ArchiveSpec } from '../../../lambdas/model/spec.ts';
import { FakeAws, FakeClock, aSpec, fakeCloud } from '../../fakes/index.ts';
import { T0, at, base, historyFile, mib, sec, wal } from './listing.ts';

const DAY = 86_400;
const archive: ArchiveSpec = {
  bucket: 'b-1',
  rpoSeconds: 10,
  retentionDays: 1,
  baseBackupSeconds: DAY,
  drillSeconds: DAY,
};
const whole = [...base('b1', 10, at(1, 32)), wal(1, 32, 48, 20), wal(1, 48, 64, 30)];

function prepare(listing: readonly Listed[], nowMs: number) {
  const cloud = fakeCloud(new FakeAws(new FakeClock(nowMs)));
  cloud.aws.specs.set('orders', aSpec({ archive }));
  for (const { key } of listing) cloud.aws.objects.set(key, Buffer.from('1'));
  const started: string[] = [];
  const starts = { start: (machine: string, name: string) => Promise.resolve(void started.push(`${machine} ${name}`)) };
  const gauge = (name: string) => cloud.metrics.gauges.filter((g) => g.name === name).map((g) => g.value);
  const holds = { bytes: null as number | null };
  const retainedBytes = () => Promise.resolve(holds.bytes);
  return { cloud, started, gauge, holds, minute: () => archiveMinute({ ...cloud, starts, retainedBytes }) };
}

/** The first audit of the cluster at or after a moment. */
const auditAfter = (ms: number): number => {
  for (let at = ms; ; at += 60_000) if (isAudit('orders', at)) return at;
};
const noAuditAfter = (ms: number): number => (isAudit('orders', ms) ? ms + 60_000 : ms);

describe('each minute', () => {
  it('reads weeks of log', async () => {
    const log = Array.from({ length: 150_000 }, (_, n) => wal(1, 32 + n, 33 + n, 20 + n));
    const { gauge, minute } = prepare([...base('b1', 10, at(1, 32)), ...log], noAuditAfter(sec(200_000)));
    await minute();
    expect(gauge('RestorableUntil')).toEqual([sec(20 + 149_999) / 1000]);
  }, 120_000);

  it('publishes what can be restored', async () => {
    const now = noAuditAfter(sec(60));
    const { gauge, minute, started } = prepare(whole, now);
    await minute();
    expect(gauge('RestorableUntil')).toEqual([sec(30) / 1000]);
    expect(gauge('ArchiveLag')).toEqual([(now - sec(30)) / 1000]);
    expect(gauge('ArchiveGap')).toEqual([0]);
    expect(gauge('RestorableFrom')).toEqual([]);
    expect(started.filter((s) => s.startsWith('backup'))).toEqual([]);
  });

  it('has a base backup taken when the newest is of a timeline whose loss was accepted', async () => {
    const { cloud, minute, started } = prepare([], noAuditAfter(sec(7200)));
    const two = [historyFile(2), wal(2, 50, 64, 40), ...base('b2', 32, at(2, 52)), wal(2, 64, 80, 50)];
    for (const { key } of [...whole, ...two]) cloud.aws.objects.set(key, Buffer.from(`1\t${mib(50)}\tr\n`));
    await minute();
    expect(started.filter((s) => s.startsWith('backup'))).toEqual([]);
    cloud.aws.objects.set(historyFile(3).key, Buffer.from(`1\t${mib(40)}\tr\n`));
    await minute();
    expect(started.filter((s) => s.startsWith('backup'))).toHaveLength(1);
  });

  it('has a base backup taken at once when the cluster goes on as another database, which has log and no base yet', async () => {
    const { cloud, minute, started } = prepare(whole, noAuditAfter(sec(7200)));
    await minute();
    expect(started.filter((s) => s.startsWith('backup'))).toEqual([]);
    const other = { cluster: 'orders', history: '7309999999999999999' };
    cloud.aws.objects.set(wal(1, 32, 48, 60, other).key, Buffer.from('1'));
    await minute();
    expect(started.filter((s) => s.startsWith('backup'))).toHaveLength(1);
    for (const { key } of base('b9', 70, at(1, 48), at(1, 48), other)) cloud.aws.objects.set(key, Buffer.from('1'));
    cloud.aws.objects.set(wal(1, 48, 64, 80, other).key, Buffer.from('1'));
    started.length = 0;
    await minute();
    expect(started.filter((s) => s.startsWith('backup'))).toEqual([]);
  });

  it('publishes the most that a slot holds back, and nothing where there is none', async () => {
    const { gauge, minute, holds } = prepare(whole, noAuditAfter(sec(60)));
    await minute();
    expect(gauge('SlotRetainedBytes')).toEqual([]);
    holds.bytes = 5000;
    await minute();
    expect(gauge('SlotRetainedBytes')).toEqual([5000]);
  });

  it('counts a hole, and an audit says from when on', async () => {
    const { gauge, minute } = prepare([...whole, wal(1, 80, 96, 50)], auditAfter(sec(60)));
    await minute();
    expect(gauge('ArchiveGap')).toEqual([1]);
    expect(gauge('RestorableFrom')).toEqual([sec(10) / 1000]);
  });

  it('lists no log before the last base but one', async () => {
    const later = [...base('b2', 40, at(1, 65)), wal(1, 64, 80, 50), ...base('b3', 60, at(1, 82)), wal(1, 80, 96, 70)];
    const { cloud, gauge, minute } = prepare([...whole, ...later], noAuditAfter(sec(100)));
    await minute();
    expect(gauge('RestorableUntil')).toEqual([sec(70) / 1000]);
    const lists = cloud.aws.callsOf('ArchiveBucket.list').map((c) => `${String(c.args[0])} ${String(c.args[1])}`);
    expect(lists.filter((l) => l.includes('/wal/'))).toEqual([expect.stringMatching(/\/00000001\/0000000004000000$/)]);
  });

  it('one cluster’s broken specification keeps no other from its turn, and the alarm tells', async () => {
    const { cloud, gauge, minute } = prepare(whole, noAuditAfter(sec(60)));
    cloud.aws.specs.set('broken', '{}');
    await expect(minute()).rejects.toThrow(/broken/);
    expect(gauge('RestorableUntil')).toHaveLength(1);
  });
});

describe('what is due', () => {
  it('a backup: at once when there is none, then by the newest good one; a doubled trigger starts one', async () => {
    const none = prepare([], noAuditAfter(sec(60)));
    await none.minute();
    await none.minute();
    expect(new Set(none.started).size).toBe(1);
    expect(none.started[0]).toMatch(/^backup orders-backup-/);
    expect(backupDue('orders', T0, archive, T0 + DAY * 1000 - 1)).toBeNull();
    const due = backupDue('orders', T0, archive, T0 + DAY * 1000);
    expect(due).toBe('orders-backup-20261121T140000Z-0');
    expect(backupDue('orders', T0, archive, T0 + DAY * 1000 + 59 * 60_000)).toBe(due);
    expect(backupDue('orders', T0, archive, T0 + DAY * 1000 + 60 * 60_000)).toBe('orders-backup-20261121T140000Z-1');
    expect(`${'o'.repeat(30)}-backup-20261121T140000Z-999999`.length).toBeLessThanOrEqual(80);
  });

  it('a drill: once a turn, when something can be restored', () => {
    const turn = Math.ceil(T0 / (DAY * 1000)) * DAY * 1000;
    expect(drillDue('orders', true, archive, turn)).toBe('orders-drill-20261121T000000Z');
    expect(drillDue('orders', true, archive, turn + 4 * 60_000)).toBe('orders-drill-20261121T000000Z');
    expect(drillDue('orders', true, archive, turn + 5 * 60_000)).toBeNull();
    expect(drillDue('orders', false, archive, turn)).toBeNull();
  });
});

it('retention is planned first, and carried out by a later run: only what both say', async () => {
  const days = (n: number): number => n * DAY;
  const listing = [
    ...whole,
    ...base('b2', 40, at(1, 65)),
    wal(1, 64, 80, 50),
    ...base('b3', days(3), at(1, 82)),
    wal(1, 80, 96, days(3) + 10),
  ];
  const now = auditAfter(sec(days(3) + 100));
  const first = prepare(listing, now);
  await first.minute();
  expect(first.cloud.aws.callsOf('ArchiveBucket.remove')).toEqual([]);
  const plans = [...first.cloud.aws.objects.keys()].filter((k) => k.startsWith('orders/retention/'));
  expect(plans).toEqual([`orders/retention/${now}`]);
  const plan = JSON.parse(Buffer.from(first.cloud.aws.objects.get(plans[0] ?? '') ?? []).toString()) as {
    remove: string[];
  };
  expect(plan.remove).toHaveLength(4);
  await first.minute();
  expect(first.cloud.aws.callsOf('ArchiveBucket.remove')).toEqual([]);
  await first.cloud.aws.clock.advance(3_600_000);
  // Not in the first plan by then: it stays until another day's plan has named it.
  first.cloud.aws.objects.set(wal(1, 40, 48, 21).key, Buffer.from('1'));
  await first.minute();
  const removed = first.cloud.aws.callsOf('ArchiveBucket.remove').flatMap((c) => c.args[0] as string[]);
  expect(removed).toEqual(plan.remove);
  expect(first.cloud.aws.objects.has(wal(1, 40, 48, 21).key)).toBe(true);
});
