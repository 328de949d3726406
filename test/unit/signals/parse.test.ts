import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseSignal } from '../../../lambdas/signals/parse.ts';
import { KINDS } from '../../../lambdas/signals/registry.ts';
import { sample } from './samples.ts';

const NODE = 'i-1234567890abcdef0';

const UNDERSTOOD: readonly [name: string, about: Record<string, unknown>, summary: RegExp][] = [
  ['ec2-state-change', { about: 'instances', instanceIds: [NODE] }, /is pending/],
  ['spot-interruption', { about: 'instances', instanceIds: [NODE] }, /Spot will terminate/],
  ['rebalance-recommendation', { about: 'instances', instanceIds: [NODE] }, /elevated risk/],
  ['health-scheduled-change', { about: 'instances', instanceIds: [NODE] }, /RETIREMENT_SCHEDULED \(scheduledChange\)/],
  ['autoscaling-terminate-lifecycle', { about: 'instances', instanceIds: [NODE] }, /my-asg terminates/],
  ['autoscaling-terminate-successful', { about: 'instances', instanceIds: [NODE] }, /my-asg terminates/],
  ['alarm-state-change', { about: 'instances', instanceIds: ['i-12345678901234567'] }, /ServerCpuTooHigh is ALARM/],
  ['execution-status-change', { about: 'clusters', clusters: ['orders'] }, /execution-name is FAILED/],
  ['reconcile-due', { about: 'clusters', clusters: ['orders'] }, /due: requeue-orders/],
];

describe('the recorded samples', () => {
  it.each(UNDERSTOOD)('%s is understood', (name, about, summary) => {
    const event = sample(name);
    const parsed = parseSignal(JSON.stringify(event));
    expect(parsed).toMatchObject({ kind: 'signal', signal: { eventId: event.id, ...about } });
    expect(parsed.kind === 'signal' && parsed.signal.summary).toMatch(summary);
  });

  it('cover every kind in the registry, each detail-type of it', () => {
    const files = readdirSync(new URL('./samples/', import.meta.url)).map((f) => sample(f.replace('.json', '')));
    const recorded = new Set(files.map((e) => `${String(e['source'])} ${String(e['detail-type'])}`));
    const known = KINDS.flatMap((k) => k.detailTypes.map((t) => `${k.source} ${t}`));
    expect([...recorded].sort()).toEqual(known.sort());
  });
});

describe('what is not there to be understood', () => {
  it('an event without version counts as version 0, as in the EC2 guide’s sample', () => {
    const event = { ...sample('ec2-state-change'), version: undefined };
    expect(parseSignal(JSON.stringify(event)).kind).toBe('signal');
  });

  it.each([
    ['another detail-type', { 'detail-type': 'EC2 Fleet State Change' }],
    ['another source', { source: 'com.example' }],
    ['another version', { version: '1' }],
  ])('%s is unknown, not malformed', (_name, change) => {
    expect(parseSignal(JSON.stringify({ ...sample('ec2-state-change'), ...change })).kind).toBe('unknown');
  });

  const wrong = sample('ec2-state-change');
  it.each([
    ['not JSON', '{"version":', /JSON/],
    ['a number', '7', /expected object/],
    ['an empty message', '', /JSON/],
    ['no id', JSON.stringify({ ...wrong, id: undefined }), /id/],
    ['an empty detail', JSON.stringify({ ...wrong, detail: {} }), /instance-id/],
    ['no detail', JSON.stringify({ ...wrong, detail: undefined }), /detail: Invalid input/],
    [
      'an instance id of another shape',
      JSON.stringify({ ...wrong, detail: { 'instance-id': 'web1', state: 'x' } }),
      /i-0123/,
    ],
    [
      'an execution whose input is not JSON',
      JSON.stringify({
        ...sample('execution-status-change'),
        detail: { executionArn: 'a:b', status: 'FAILED', input: '{' },
      }),
      /JSON/,
    ],
  ])('%s is malformed, and the reason says what was received', (_name, body, why) => {
    const parsed = parseSignal(body);
    expect(parsed.kind).toBe('malformed');
    expect(parsed.kind === 'malformed' && parsed.why).toMatch(why);
  });

  it('the reason quotes no more than the beginning of a large message', () => {
    const parsed = parseSignal('x'.repeat(100_000));
    expect(parsed.kind === 'malformed' && parsed.why.length).toBeLessThan(500);
  });
});

describe('details that vary', () => {
  it('an alarm with the dimension Cluster is about that cluster', () => {
    const event = sample('alarm-state-change');
    event.detail['configuration'] = {
      metrics: [{ metricStat: { metric: { dimensions: { Cluster: 'orders' }, name: 'x', namespace: 'Rejoin' } } }],
    };
    expect(parseSignal(JSON.stringify(event))).toMatchObject({ signal: { about: 'clusters', clusters: ['orders'] } });
  });

  it.each([
    ['a composite alarm (no metrics)', { alarmRule: 'ALARM(a) OR ALARM(b)' }],
    ['a metric expression', { metrics: [{ id: 'e1', expression: 'm1 + m2', label: 'x', returnData: true }] }],
    ['a metric without dimensions', { metrics: [{ metricStat: { metric: { name: 'x', namespace: 'y' } } }] }],
  ])('%s is about nothing of ours', (_name, configuration) => {
    const event = sample('alarm-state-change');
    event.detail['configuration'] = configuration;
    expect(parseSignal(JSON.stringify(event))).toMatchObject({ signal: { instanceIds: [] } });
  });

  it('health entities that are ARNs are read to their id, and those that are not instances are left out', () => {
    const event = sample('health-scheduled-change');
    event.detail['affectedEntities'] = [
      { entityValue: `arn:aws:ec2:eu-west-1:123456789012:instance/${NODE}` },
      { entityValue: 'vol-0123456789abcdef0' },
    ];
    expect(parseSignal(JSON.stringify(event))).toMatchObject({ signal: { instanceIds: [NODE] } });
  });

  it('a health event of another service names no instance', () => {
    const event = sample('health-scheduled-change');
    event.detail['service'] = 'RDS';
    expect(parseSignal(JSON.stringify(event))).toMatchObject({ signal: { instanceIds: [] } });
  });

  it.each([
    ['left out as too large', null],
    ['of somebody else’s state machine', '{"order":17}'],
  ])('an execution whose input is %s is about nothing of ours', (_name, input) => {
    const event = sample('execution-status-change');
    event.detail['input'] = input;
    expect(parseSignal(JSON.stringify(event))).toMatchObject({ kind: 'signal', signal: { clusters: [] } });
  });
});
