import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFaults, seededRandom } from '../../rehearsal/cloud/faults.ts';
import type { Caller } from '../../rehearsal/cloud/faults.ts';
import { createKills, killed, matchesPayload } from '../../rehearsal/cloud/kills.ts';
import { failedIds } from '../../rehearsal/cloud/queue-events.ts';
import { rateMs } from '../../rehearsal/cloud/schedules.ts';
import { parseForm } from '../../rehearsal/cloud/wire-forms.ts';

const call = { service: 'ec2', operation: 'DescribeInstances' };
const by = (kind: Caller['kind'], name = 'x'): Caller => ({ kind, name });

describe('fault rules', () => {
  it.each([
    ['any caller', { service: '*', operation: '*' }, by('function'), true],
    ['a host', { service: 'ec2', operation: '*' }, by('other'), true],
    ['the rehearsal', { service: '*', operation: '*' }, by('rehearsal'), false],
    ['a mapping', { service: '*', operation: '*' }, by('mapping'), false],
    ['the engine, by a rule for all', { service: '*', operation: '*' }, by('engine'), false],
    ['the engine, by a rule for the service', { service: 'ec2', operation: '*' }, by('engine'), true],
    ['another service', { service: 'sqs', operation: '*' }, by('function'), false],
    ['another operation', { service: 'ec2', operation: 'RunInstances' }, by('function'), false],
    ['the named function', { service: '*', operation: '*', functionName: 'recon' }, by('function', 'reconcile'), true],
    ['another function', { service: '*', operation: '*', functionName: 'watch' }, by('function', 'reconcile'), false],
    ['a host, by a rule for a function', { service: '*', operation: '*', functionName: 'x' }, by('other'), false],
  ])('meet %s or not', (_who, rule, caller, struck) => {
    const faults = createFaults(() => 0);
    faults.add({ ...rule, probability: 1 });
    expect(faults.strike(call, caller) !== null).toBe(struck);
  });

  it('strike as often as they say and no more', () => {
    const faults = createFaults(() => 0);
    faults.add({ service: '*', operation: '*', probability: 1, times: 2 });
    expect([1, 2, 3].map(() => faults.strike(call, by('function')) !== null)).toEqual([true, true, false]);
  });

  it('strike their share of the calls, the same ones for the same seed', () => {
    const run = (seed: number): boolean[] => {
      const faults = createFaults(seededRandom(seed));
      faults.add({ service: '*', operation: '*', probability: 0.3 });
      return Array.from({ length: 1000 }, () => faults.strike(call, by('function')) !== null);
    };
    const struck = run(7).filter(Boolean).length;
    expect(struck).toBeGreaterThan(240);
    expect(struck).toBeLessThan(360);
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });

  it('say what is wrong with a probability outside 0 to 1', () => {
    expect(() => createFaults(() => 0).add({ service: '*', operation: '*', probability: 30 })).toThrow(
      'probability is 30',
    );
  });
});

describe('kill rules', () => {
  const rule = { functionName: 'replace', payload: { step: 'Launch' }, atCall: 2, moment: 'after', times: 1 } as const;

  it('kill at the nth call of an invocation whose payload fits, once', () => {
    const kills = createKills();
    kills.add(rule);
    const first = kills.arm('rejoin-replace', { step: 'Launch', cluster: 'orders' });
    expect([first.nextCall(), first.nextCall(), first.nextCall()]).toEqual([null, 'after', null]);
    const second = kills.arm('rejoin-replace', { step: 'Launch' });
    expect([second.nextCall(), second.nextCall()]).toEqual([null, null]);
    expect(kills.hits.get(rule)).toBe(1);
  });

  it('leave other steps and other functions alone', () => {
    const kills = createKills();
    kills.add({ ...rule, atCall: 1 });
    expect(kills.arm('rejoin-replace', { step: 'Seed' }).nextCall()).toBeNull();
    expect(kills.arm('rejoin-watch', { step: 'Launch' }).nextCall()).toBeNull();
  });

  it('strike every step of a function once, before its first call, after it or at its end in turn', () => {
    const kills = createKills();
    kills.everyStep(['replace']);
    const moments = (functionName: string, step: unknown): unknown[] => {
      const armed = kills.arm(functionName, { step });
      return [armed.nextCall(), armed.nextCall(), armed.atEnd()];
    };
    expect(moments('rejoin-replace', 'Claim')).toEqual(['before', null, false]);
    expect(moments('rejoin-replace', 'Fence')).toEqual(['after', null, false]);
    expect(moments('rejoin-replace', 'Launch')).toEqual([null, null, true]);
    expect(moments('rejoin-replace', 'Join')).toEqual(['before', null, false]);
    for (const step of ['Claim', 'Fence', 'Launch', 'Join'])
      expect(moments('rejoin-replace', step)).toEqual([null, null, false]);
    expect(killed(kills)).toEqual([
      'replace Claim before',
      'replace Fence after',
      'replace Launch end',
      'replace Join before',
    ]);
    expect(moments('rejoin-failover', 'Claim')).toEqual([null, null, false]);
    expect(moments('rejoin-replace', undefined)).toEqual([null, null, false]);
  });

  it('taken back do not strike an invocation that runs already', () => {
    const kills = createKills();
    const remove = kills.add({ ...rule, atCall: 1 });
    const armed = kills.arm('rejoin-replace', { step: 'Launch' });
    remove();
    expect(armed.nextCall()).toBeNull();
  });

  it.each([
    [{ a: { b: 1 } }, { a: { b: 1, c: 2 }, d: 3 }, true],
    [{ a: [1, 2] }, { a: [1, 2] }, true],
    [{ a: [1] }, { a: [1, 2] }, false],
    [{ a: null }, {}, false],
    [{ a: 1 }, 'text', false],
  ])('%j in %j: %s', (wanted, value, matches) => expect(matchesPayload(wanted, value)).toBe(matches));
});

describe('the answer to a batch of messages', () => {
  it.each([
    ['null', []],
    ['{}', []],
    ['{"batchItemFailures":[]}', []],
    ['{"batchItemFailures":[{"itemIdentifier":"b"}]}', ['b']],
    ['{"batchItemFailures":[{"itemIdentifier":"elsewhere"}]}', ['a', 'b', 'c']],
    ['{"batchItemFailures":[{"itemIdentifier":""}]}', ['a', 'b', 'c']],
    ['{"batchItemFailures":[{}]}', ['a', 'b', 'c']],
  ])('%s fails %j', (payload, failed) => expect([...failedIds(payload, ['a', 'b', 'c'])]).toEqual(failed));
});

describe('a schedule', () => {
  it.each([
    ['rate(1 minute)', 60_000],
    ['rate(5 minutes)', 300_000],
    ['rate(2 hours)', 7_200_000],
    ['rate(1 day)', 86_400_000],
  ])('%s comes every %d ms', (expression, ms) => expect(rateMs(expression)).toBe(ms));
  it.each(['cron(0 12 * * ? *)', 'rate(0 minutes)', 'rate(1.5 hours)', ''])('%j is refused by name', (expression) => {
    expect(() => rateMs(expression)).toThrow(JSON.stringify(expression));
  });
});

describe('the query protocol', () => {
  type Shape = string | Shape[] | { [key: string]: Shape };
  const flatten = (value: Shape, path: string[], into: [string, string][], list: string[]): void => {
    if (typeof value === 'string') into.push([path.join('.'), value]);
    else if (Array.isArray(value))
      value.forEach((item, i) => flatten(item, [...path, ...list, String(i + 1)], into, list));
    else for (const [key, item] of Object.entries(value)) flatten(item, [...path, key], into, list);
  };
  const name = fc.stringMatching(/^[A-Z][a-zA-Z]{0,5}$/);
  const { shape } = fc.letrec<{ shape: Shape }>((tie) => ({
    shape: fc.oneof(
      { depthSize: 'small' },
      fc.string(),
      fc.array(tie('shape'), { minLength: 1, maxLength: 12 }),
      fc.dictionary(name, tie('shape'), { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
    ),
  }));

  it.each([
    ['lists as EC2 writes them', []],
    ['lists of members', ['member']],
  ])('folds back whatever a client has flattened: %s', (_style, list) => {
    fc.assert(
      fc.property(fc.dictionary(name, shape, { noNullPrototype: true }), (params) => {
        const flat: [string, string][] = [];
        flatten(params, [], flat, list);
        expect(parseForm(new URLSearchParams(flat))).toEqual(params);
      }),
    );
  });
});
