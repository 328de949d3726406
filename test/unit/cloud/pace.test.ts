/** Turns at AWS's token buckets, taken before AWS is asked. */
import { expect, it } from 'vitest';
import { LONGEST_WAIT_MS, paceConfig, ratesOf, signalsRatesOf, Turns } from '../../../lambdas/cloud/pace.ts';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { DEFAULT_QUOTAS } from '../../../lib/capabilities/reconcile.ts';
import { FakeClock } from '../../fakes/index.ts';

const RATE = { burst: 4, perSecond: 2 };
const RATES = {
  ...{ describe: RATE, register: RATE, instances: RATE, dns: RATE, specs: RATE, executions: RATE },
  // Not what is short, unless a test makes it so.
  balancing: { burst: 40, perSecond: 20 },
};

it('a burst goes at once, and then so many a second', async () => {
  const clock = new FakeClock();
  const turns = new Turns(clock, RATES);
  const startMs = clock.nowMs();
  const at: number[] = [];
  for (let n = 0; n < 8; n += 1) {
    await turns.turn('describe');
    at.push(clock.nowMs() - startMs);
  }
  expect(at).toEqual([0, 0, 0, 0, 500, 1000, 1500, 2000]);
  await turns.turn('register', 4);
  expect(clock.nowMs() - startMs).toBe(2000);
  await clock.sleep(60_000);
  await turns.turn('describe', 4);
  expect(clock.nowMs() - startMs).toBe(62_000);
});

it('nobody waits for longer than a reconcile has, and whoever is turned away has taken nothing', async () => {
  const clock = new FakeClock(undefined, { manual: true });
  const turns = new Turns(clock, RATES);
  const most = 4 + (LONGEST_WAIT_MS / 1000) * 2;
  await expect(turns.turn('executions', most + 1)).rejects.toThrow(CloudUnavailable);
  await turns.turn('executions', 4);
  expect(turns.may('executions')).toBe(false);
  expect(turns.may('dns')).toBe(true);
  await clock.advance(500);
  expect(turns.may('executions')).toBe(true);
});

it('is short while less than half of a burst is left, and lately was for a while after that; an execution says nothing of it', async () => {
  const clock = new FakeClock(undefined, { manual: true });
  const turns = new Turns(clock, RATES);
  await turns.turn('executions', 4);
  await turns.turn('describe', 2);
  expect(turns.isShort(0)).toBe(false);
  await turns.turn('describe', 1);
  expect(turns.isShort(0)).toBe(true);
  await clock.advance(500);
  expect(turns.isShort(0)).toBe(false);
  expect(turns.isShort(1000)).toBe(true);
  await clock.advance(1000);
  expect(turns.isShort(1000)).toBe(false);
});

it('a turn now and then leaves more than half: it was not short lately either', async () => {
  const clock = new FakeClock(undefined, { manual: true });
  const turns = new Turns(clock, RATES);
  await turns.turn('describe', 2);
  expect(turns.isShort(30_000)).toBe(false);
  await clock.advance(1000);
  await turns.turn('describe', 3);
  expect(turns.isShort(0)).toBe(true);
  await clock.advance(20_000);
  await turns.turn('describe', 1);
  expect(turns.isShort(10_000)).toBe(false);
  expect(turns.isShort(30_000)).toBe(true);
});

it('environments share what the account has', () => {
  const one = ratesOf({ ...DEFAULT_QUOTAS, environments: 1 });
  const two = ratesOf(DEFAULT_QUOTAS);
  for (const kind of ['describe', 'register', 'balancing', 'instances'] as const) {
    expect(2 * two[kind].perSecond).toBeCloseTo(one[kind].perSecond);
    expect(2 * two[kind].burst).toBeCloseTo(one[kind].burst);
  }
  expect(one.describe).toEqual({ burst: 36, perSecond: 9 });
  expect(one.register).toEqual({ burst: 18, perSecond: 3.6 });
  expect(ratesOf({ ...DEFAULT_QUOTAS, registrationsPerSecond: 40 }).register.perSecond).toBeCloseTo(18);
});

it('its configuration is read, or says what is wrong', () => {
  expect(paceConfig(JSON.stringify(DEFAULT_QUOTAS))).toEqual(DEFAULT_QUOTAS);
  expect(() => paceConfig(JSON.stringify({ ...DEFAULT_QUOTAS, describesPerSecond: 0 }))).toThrow(
    /PACE is .*describesPerSecond/,
  );
});

it('every call of Elastic Load Balancing takes of what all of them share', async () => {
  const clock = new FakeClock(undefined, { manual: true });
  const turns = new Turns(clock, { ...RATES, balancing: { burst: 4, perSecond: 2 } });
  await turns.turn('describe', 2);
  expect(turns.isShort(0)).toBe(false);
  await turns.turn('register', 2);
  expect([turns.may('describe'), turns.may('register'), turns.may('dns')]).toEqual([false, false, true]);
  expect(turns.isShort(0)).toBe(true);
  await clock.advance(500);
  expect(turns.may('describe')).toBe(true);
  await expect(turns.turn('register', 11)).rejects.toThrow(CloudUnavailable);
  // What was refused has taken nothing, of neither.
  await clock.advance(500);
  expect(turns.may('register')).toBe(true);
});

it('signals take little of what may be asked about instances, and never wait for long', () => {
  const rates = signalsRatesOf({ ...DEFAULT_QUOTAS, environments: 2 });
  expect(rates.instances).toEqual({ burst: 15, perSecond: 2.5 });
  const { instances } = ratesOf(DEFAULT_QUOTAS);
  expect(2 * (rates.instances.perSecond + instances.perSecond)).toBeLessThan(DEFAULT_QUOTAS.instancesPerSecond);
  expect(signalsRatesOf({ ...DEFAULT_QUOTAS, instancesPerSecond: 1 }).instances.perSecond).toBe(1);
});
