import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { REFUSALS } from '../../lambdas/model/change.ts';
import { RECOVERY_ERRORS } from '../../lambdas/model/recovery.ts';
import { parseRequest } from '../../lambdas/operate/request.ts';
import { CONDITIONS_TOLD, REFUSALS_TOLD } from '../../lambdas/reconcile/notify.ts';
import { ARCHIVE_WORKFLOW_NAMES, FUNCTION_NAMES, WORKFLOW_NAMES } from '../../lib/names.ts';
import { ROOT, exampleTemplate, resourcesOf } from './fixture.ts';

const text = readFileSync(join(ROOT, 'docs', 'runbook.md'), 'utf8');

/** `###` headings of a `#` section. */
function headings(section: string): readonly string[] {
  const body = text.split(/^# /m).find((part) => part.startsWith(`${section}\n`)) ?? '';
  return [...body.matchAll(/^### (.+)$/gm)].map((m) => m[1] ?? '');
}

/** As GitHub makes them: lower case, spaces to hyphens. */
const anchors = new Set([...text.matchAll(/^#+ (.+)$/gm)].map((m) => (m[1] ?? '').toLowerCase().replaceAll(' ', '-')));

const alarms = resourcesOf(exampleTemplate(), 'AWS::CloudWatch::Alarm').map(([, a]) => a.Properties);

/** One alarm a cluster has the cluster's name behind. */
const headingOf = (alarm: string): string => alarm.replace(/^rejoin-/, '').replace(/-of-[a-z0-9-]+$/, '');

describe('runbook', () => {
  it('has a heading for every alarm, and no other', () => {
    expect([...new Set(alarms.map((a) => headingOf(String(a['AlarmName']))))].sort()).toEqual(
      [...headings('Alarms')].sort(),
    );
  });

  it('is what each alarm links to, at a heading that exists', () => {
    for (const alarm of alarms) {
      const anchor = /docs\/runbook\.md#([a-z0-9-]+)$/.exec(String(alarm['AlarmDescription']))?.[1];
      expect(anchors.has(anchor ?? ''), String(alarm['AlarmDescription'])).toBe(true);
    }
  });

  it('has a heading for every refusal, and no other', () => {
    expect([...headings('Refusals')].sort()).toEqual([...REFUSALS].sort());
  });

  it('has a heading for every recovery error, and no other', () => {
    expect([...headings('Recovery errors')].sort()).toEqual([...RECOVERY_ERRORS].sort());
  });

  it('links only to headings that exist', () => {
    const broken = [...text.matchAll(/\]\(#([^)]+)\)/g)].map((m) => m[1] ?? '').filter((a) => !anchors.has(a));
    expect(broken).toEqual([]);
  });

  it('has the headings that notifications name', () => {
    const named = [...Object.values(REFUSALS_TOLD), ...Object.values(CONDITIONS_TOLD), 'failover-in-maintenance'];
    expect(named.length).toBeGreaterThan(3);
    expect([...named, 'workflow-failed'].filter((a) => !anchors.has(a))).toEqual([]);
  });

  it('names the code of every condition that people are told of', () => {
    expect(Object.keys(CONDITIONS_TOLD).filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
  });

  it('prints only requests that operate takes', () => {
    const printed = [...text.matchAll(/`?(\{"action":[^}…]+\})/g)].map((m) => m[1] ?? '');
    expect(printed.length).toBeGreaterThan(5);
    for (const request of printed) expect(parseRequest(JSON.parse(request)), request).toBeTypeOf('object');
  });
});

describe('alarms', () => {
  it('all tell the topic', () => {
    for (const alarm of alarms) expect(alarm['AlarmActions']).toHaveLength(1);
  });

  it('watch every dead-letter queue', () => {
    const redriven = JSON.stringify(alarms);
    const queues = resourcesOf(exampleTemplate(), 'AWS::SQS::Queue').filter(([, q]) =>
      /-dlq/.test(String(q.Properties['QueueName'])),
    );
    expect(queues).toHaveLength(3);
    for (const [id] of queues) expect(redriven).toContain(`"Fn::GetAtt":["${id}","QueueName"]`);
  });

  it('watch every function, every workflow, the age of the queues and the sweep', () => {
    const names = alarms.map((a) => a['AlarmName']);
    const expected = [
      ...FUNCTION_NAMES.map((f) => `rejoin-${f}-errors`),
      ...[...WORKFLOW_NAMES, ...ARCHIVE_WORKFLOW_NAMES].flatMap((w) => [
        `rejoin-${w}-workflow-failed`,
        `rejoin-${w}-workflow-timed-out`,
      ]),
      'rejoin-reconcile-obstructed',
      'rejoin-reconcile-queue-age',
      'rejoin-watch-not-running',
      ...['archive-lag-of-orders', 'archive-gap-of-orders'].map((name) => `rejoin-${name}`),
      ...['archive-lag-of-accounts', 'archive-gap-of-accounts', 'slot-retained-of-accounts'].map((n) => `rejoin-${n}`),
    ];
    expect(expected.filter((name) => !names.includes(name))).toEqual([]);
  });

  it('take a lag that nobody measures for a lag', () => {
    const lag = alarms.find((a) => a['AlarmName'] === 'rejoin-archive-lag-of-accounts');
    expect(lag).toMatchObject({
      TreatMissingData: 'breaching',
      MetricName: 'ArchiveLag',
      Threshold: 120,
      Dimensions: [
        { Name: 'cluster', Value: 'accounts' },
        { Name: 'service', Value: 'ship-postgres' },
      ],
    });
  });

  it('take silence of the sweep for a failure', () => {
    const sweep = alarms.find((a) => a['AlarmName'] === 'rejoin-watch-not-running');
    expect(sweep).toMatchObject({
      TreatMissingData: 'breaching',
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 1,
    });
  });
});
