/** The pure decisions of the replacement workflow, as tables. */
import { describe, expect, it } from 'vitest';
import type { Volume } from '../../../lambdas/model/volume.ts';
import type { Instance, Node } from '../../../lambdas/model/view.ts';
import type { PostgresStatus } from '../../../lambdas/model/postgres.ts';
import { chooseDonor, choosePostgresDonor } from '../../../lambdas/recovery/choose-donor.ts';
import { explain } from '../../../lambdas/recovery/finish.ts';
import { postgresRecovery } from '../../../lambdas/recovery/postgres.ts';
import { duration, pollSeconds } from '../../../lambdas/recovery/wait.ts';
import { chooseSubnets } from '../../../lambdas/replace/choose-zone.ts';
import { orphanedVolume, useOf } from '../../../lambdas/replace/choose-volume.ts';
import { clientToken } from '../../../lambdas/replace/steps/launch.ts';
import { aStatus, answered } from '../../fakes/index.ts';
import { POSTGRES } from '../../support/postgres-side.ts';

const instance = (id: string, zone: string, state: Instance['state'] = 'running'): Instance => ({
  id,
  state,
  zone: `eu-west-1${zone}`,
  subnetId: null,
  privateIp: null,
  launchedAtMs: 0,
  tags: {},
  volumes: [],
});

type Said = Parameters<typeof aStatus>[0];
const node = (id: string, zone: string, said: Said = {}): Node => ({
  instance: instance(id, zone),
  probe: answered(aStatus(said)),
});
const mute = (id: string, zone: string): Node => ({
  instance: instance(id, zone),
  probe: { kind: 'silent', atMs: 0, tookMs: 0, detail: '' },
});

describe('chooseDonor', () => {
  const table: [string, readonly Node[], string | null, string | null, string | null][] = [
    ['never the writer while another is Synced', [node('w', 'a'), node('x', 'b')], 'w', 'a', 'x'],
    ["in the joiner's zone", [node('x', 'a'), node('y', 'c'), node('w', 'b')], 'w', 'c', 'y'],
    ['the lowest id among equals', [node('y', 'a'), node('x', 'b')], null, 'c', 'x'],
    ['the writer when it is the last', [node('w', 'a'), mute('x', 'b')], 'w', 'a', 'w'],
    ['not a donor that is busy', [node('x', 'a', { state: 'Donor/Desynced' }), node('w', 'b')], 'w', 'a', 'w'],
    ['not outside the primary component', [node('x', 'a', { component: 'Non-Primary' })], null, 'a', null],
    ['not one that is not ready', [node('x', 'a', { ready: false })], null, 'a', null],
    ['nobody', [mute('x', 'a')], null, 'a', null],
  ];
  it.each(table)('%s', (_, nodes, writer, zone, expected) => {
    const donor = chooseDonor(nodes, writer, zone === null ? null : `eu-west-1${zone}`);
    expect(donor?.node.instance.id ?? null).toBe(expected);
  });
});

const PRIMARY_HOST = '10.0.0.4';

/** A primary on timeline 2 at 0/1000 unless said otherwise; with a receiver it is a standby. */
function postgres(id: string, said: Partial<PostgresStatus>, state: Instance['state'] = 'running'): Node {
  const status: PostgresStatus = {
    engine: 'postgres',
    inRecovery: false,
    systemId: '1',
    timeline: 2,
    lsn: '0/1000',
    replayLsn: null,
    replayLagSeconds: null,
    receiver: null,
    followsHost: null,
    standbys: [],
    slots: [],
    synchronousStandbyNames: '',
    disk: null,
    ...said,
  };
  const probe: Node['probe'] = { kind: 'answered', atMs: 0, tookMs: 1, status };
  return { instance: { ...instance(id, 'a', state), privateIp: id === 'w' ? PRIMARY_HOST : '10.0.0.9' }, probe };
}

const receiver = (status: string, senderHost: string | null = PRIMARY_HOST): PostgresStatus['receiver'] => ({
  status,
  senderHost,
  slot: null,
  lastMessageAgoMs: 1,
  timeline: 2,
});
const standby = (said: Partial<PostgresStatus> = {}): Partial<PostgresStatus> => ({
  inRecovery: true,
  receiver: receiver('streaming'),
  ...said,
});

describe('what serves with PostgreSQL', () => {
  const primary = postgres('w', {});
  const table: readonly [string, Node, Node | null, boolean, boolean][] = [
    ['the writer, which is a primary', primary, primary, true, true],
    ['a primary that is not the writer', postgres('x', {}), primary, false, false],
    ['the writer, which answers as a standby', postgres('w', standby()), postgres('w', standby()), false, false],
    ['a replica that streams from it', postgres('x', standby()), primary, true, true],
    ['one that lags by as much as declared', postgres('x', standby({ lsn: '0/C00' })), primary, true, true],
    ['one that lags by more', postgres('x', standby({ lsn: '0/BFF' })), primary, false, true],
    ['one of another timeline', postgres('x', standby({ timeline: 1 })), primary, false, true],
    [
      'one whose stream is not there yet',
      postgres('x', standby({ receiver: receiver('starting') })),
      primary,
      false,
      false,
    ],
    ['one without a stream', postgres('x', standby({ receiver: null })), primary, false, false],
    [
      'one that streams from another',
      postgres('x', standby({ receiver: receiver('streaming', '10.0.0.8') })),
      primary,
      false,
      false,
    ],
    [
      'one that may not see the address, and follows it',
      postgres('x', standby({ receiver: receiver('streaming', null), followsHost: PRIMARY_HOST })),
      primary,
      true,
      true,
    ],
    ['a replica of a primary that does not answer', postgres('x', standby()), mute('w', 'a'), false, false],
    ['a replica of nobody', postgres('x', standby()), null, false, false],
    ['an instance that EC2 is stopping', postgres('x', standby(), 'stopping'), primary, false, false],
  ];
  it.each(table)('%s', (_, found, writer, serves, member) => {
    const engine = postgresRecovery(POSTGRES);
    const reference = { writer: writer === null ? null : 'w', primary: writer };
    expect(engine.isServing(found, reference)).toBe(serves);
    expect(engine.hasCaughtUp(found, reference)).toBe(serves);
    expect(engine.isMember(found, reference)).toBe(member);
  });
});

describe('choosePostgresDonor', () => {
  const at = (id: string, zone: string): Node => ({ ...postgres(id, standby()), instance: instance(id, zone) });
  const table: readonly [string, readonly Node[], string | null][] = [
    ["a replica in the joiner's zone", [at('w', 'c'), at('x', 'a'), at('y', 'c')], 'y'],
    ['any replica, by id', [at('w', 'c'), at('y', 'a'), at('x', 'b')], 'x'],
    ['the primary when it is the last', [at('w', 'c')], 'w'],
    ['nobody', [], null],
  ];
  it.each(table)('%s', (_, nodes, expected) => {
    expect(choosePostgresDonor(nodes, 'w', 'eu-west-1c')?.node.instance.id ?? null).toBe(expected);
  });
});

describe('chooseSubnets', () => {
  const subnets = ['a', 'b', 'c'].map((z) => ({ id: `subnet-${z}`, zone: `eu-west-1${z}` }));
  const table: [string, readonly Instance[], string | null, string][] = [
    ["the lost node's zone first", [instance('1', 'a'), instance('2', 'b')], 'eu-west-1b', 'b c a'],
    [
      'then the zones with the fewest nodes',
      [instance('1', 'a'), instance('2', 'a'), instance('3', 'b')],
      null,
      'c b a',
    ],
    ['by name among equals', [], null, 'a b c'],
  ];
  it.each(table)('%s', (_, live, preferred, expected) => {
    expect(
      chooseSubnets(subnets, live, preferred)
        .map((s) => s.id.at(-1))
        .join(' '),
    ).toBe(expected);
  });
});

const volume = (change: Partial<Volume> = {}): Volume => ({
  id: 'vol-1',
  state: 'available',
  zone: 'eu-west-1a',
  tags: { 'rejoin:cluster': 'orders' },
  attachedTo: null,
  device: null,
  ...change,
});

describe('orphanedVolume', () => {
  it.each([
    ['the only one in the zone', [volume()], 'vol-1'],
    ['none of two', [volume(), volume({ id: 'vol-2' })], null],
    ["not another cluster's", [volume({ tags: { 'rejoin:cluster': 'billing' } })], null],
    ['not in another zone', [volume({ zone: 'eu-west-1b' })], null],
    ['not one in use', [volume({ state: 'in-use', attachedTo: 'i-1' })], null],
    ['not one that did not seed', [volume({ tags: { 'rejoin:cluster': 'orders', 'rejoin:unusable': 'x' } })], null],
  ] satisfies [string, Volume[], string | null][])('%s', (_, volumes, expected) => {
    expect(orphanedVolume(volumes, 'orders', 'eu-west-1a')).toBe(expected);
  });
});

describe('useOf', () => {
  it.each([
    [undefined, 'gone'],
    [volume(), 'attach'],
    [volume({ zone: 'eu-west-1b' }), 'gone'],
    [volume({ tags: {} }), 'gone'],
    [volume({ state: 'in-use', attachedTo: 'joiner' }), 'attached'],
    [volume({ state: 'in-use', attachedTo: 'lost' }), 'detach'],
    [volume({ state: 'in-use', attachedTo: 'stranger' }), 'gone'],
    [volume({ state: 'in-use', attachedTo: null }), 'wait'],
    [volume({ state: 'creating' }), 'wait'],
    [volume({ state: 'deleting' }), 'gone'],
    [volume({ state: 'error' }), 'gone'],
  ] satisfies [Volume | undefined, string][])('%o is %s', (found, expected) => {
    expect(useOf('orders', found, 'joiner', 'lost', 'eu-west-1a').kind).toBe(expected);
  });
});

describe('small things', () => {
  it('a client token fits into 64 characters and differs by subnet, disk and lost node', () => {
    const plan = { replaces: 'i-1', subnetId: 'subnet-1', withoutDevice: null };
    const token = clientToken('arn:execution', plan);
    expect(token).toHaveLength(64);
    expect(clientToken('arn:execution', { ...plan })).toBe(token);
    expect(
      new Set([
        token,
        clientToken('arn:execution', { ...plan, subnetId: 'subnet-2' }),
        clientToken('arn:execution', { ...plan, withoutDevice: '/dev/sdf' }),
        clientToken('arn:execution', { ...plan, replaces: 'i-2' }),
      ]).size,
    ).toBe(4);
  });

  it.each([
    [0, 1],
    [19_999, 1],
    [60_000, 6],
    [3_600_000, 15],
  ])('after %d ms of waiting it asks every %d s', (waited, seconds) => {
    expect(pollSeconds(waited)).toBe(seconds);
  });

  it('says how long things took', () => {
    expect([duration(900), duration(61_000), duration(-5)]).toEqual(['1 s', '1 min 1 s', '0 s']);
  });

  it.each([
    [
      'LaunchFailed',
      '{"errorType":"LaunchFailed","errorMessage":"no room"}',
      'no room',
      'docs/runbook.md#launchfailed',
    ],
    ['AccessDenied', 'plain words', 'plain words', 'docs/runbook.md#workflow-failed'],
    [
      'NotRouted',
      '{"errorType":"NotRouted","errorMess',
      '{"errorType":"NotRouted","errorMess',
      'docs/runbook.md#notrouted',
    ],
    ['Unknown', '', 'no cause was given', 'docs/runbook.md#workflow-failed'],
  ])('explains %s with cause %s', (Error, Cause, sentence, anchor) => {
    expect(explain({ Error, Cause })).toEqual({ name: Error, sentence, anchor });
  });
});
