import { describe, expect, it } from 'vitest';
import { chooseSource, endsOf, type LogNode } from '../../../lambdas/archive/ship/galera/choose-source.ts';
import { parseLog, type ServerLog } from '../../../lambdas/engines/galera/binlog/log-state.ts';
import { formatGtidPosition, parseGtidPosition as at } from '../../../lambdas/model/archive/gtid.ts';
import type { BinlogObject } from '../../../lambdas/model/archive/keys.ts';

const log = (given: Partial<ServerLog> = {}): ServerLog => ({
  ...{ history: 'h', domain: 0, state: 'synced', writers: [], problem: null },
  ...{ newest: at('0-1-100'), oldest: at('') },
  ...given,
});
const node = (instance: string, given: Partial<ServerLog> = {}, isWriter = false): LogNode<string> => ({
  ...{ node: instance, instance, isWriter, log: log(given) },
});
const object = (after: string, upTo: string, instance = 'a'): BinlogObject => ({
  ...{ kind: 'binlog', after: at(after), upTo: at(upTo), coveredMs: 0, source: `${instance}~binlog.000001~4` },
});
/** `node after/ask` and the gap. */
const choice = (nodes: readonly LogNode<string>[], objects: readonly BinlogObject[] = []): string => {
  const found = chooseSource(nodes, objects);
  if (found.kind === 'none') return found.reason;
  const [after, ask] = [found.after, found.ask].map((p) => formatGtidPosition(p) || 'none');
  return `${found.node} ${after}${after === ask ? '' : ` asks ${ask}`}${found.gapAfter === null ? '' : ` gap after ${formatGtidPosition(found.gapAfter)}`}`;
};

describe('from which node the log is read, and from where', () => {
  it.each([
    ['another synced node rather than the writer', [node('w', {}, true), node('b')], 'b none'],
    ['the writer rather than a donor', [node('b', { state: 'donor' }), node('w', {}, true)], 'w none'],
    ['a donor rather than nobody', [node('b', { state: 'donor' }), node('c', { state: 'away' })], 'b none'],
    [
      'nobody while all are away',
      [node('b', { state: 'away' })],
      'no node is synced or donates: there is no log to be read',
    ],
    [
      'nobody whose log is no archive, and says what to mend',
      [node('b', { problem: 'log_bin is "OFF": set it' })],
      'log_bin is "OFF": set it',
    ],
  ])('is %s', (_, nodes, expected) => {
    expect(choice(nodes)).toBe(expected);
  });

  it('goes on with the node that the newest object came from, so that its files stay whole', () => {
    const objects = [object('', '0-1-10', 'b'), object('0-1-10', '0-1-20', 'c')];
    expect(choice([node('a'), node('b'), node('c')], objects)).toBe('c 0-1-20');
    expect(choice([node('a'), node('c', {}, true)], objects)).toBe('a 0-1-20');
  });

  it('passes over a node that has purged what comes next, and one that is behind', () => {
    const objects = [object('', '0-1-20')];
    const purged = node('a', { oldest: at('0-1-50') });
    const behind = node('b', { newest: at('0-1-19') });
    expect(choice([purged, behind, node('w', {}, true)], objects)).toBe('w 0-1-20');
    expect(choice([behind], objects)).toBe('the archive has 0-1-20, and no node is so far yet: b 0-1-19');
  });

  it('names a gap only when no node has what comes next, and begins where the least is lost', () => {
    const objects = [object('', '0-1-20')];
    const nodes = [node('a', { oldest: at('0-1-50') }), node('b', { oldest: at('0-1-30') })];
    expect(choice(nodes, objects)).toBe('b 0-1-30 gap after 0-1-20');
    // From then on that is no news.
    expect(choice(nodes, [...objects, object('0-1-30', '0-1-60')])).toBe('a 0-1-60');
  });

  it('fills first what a killed shipper left out, when a node has it still', () => {
    const objects = [object('0-1-5', '0-1-10'), object('0-1-15', '0-1-20'), object('0-1-20', '0-1-30')];
    expect(endsOf(objects).map(formatGtidPosition)).toEqual(['0-1-10', '0-1-30']);
    expect(choice([node('a')], objects)).toBe('a 0-1-10');
    expect(choice([node('a', { oldest: at('0-1-12') })], objects)).toBe('a 0-1-30');
  });

  it('begins an archive with the oldest log that any node has', () => {
    expect(choice([node('a', { oldest: at('0-1-50') }), node('b', { oldest: at('0-1-30') })])).toBe('b 0-1-30');
  });

  it('takes the domains that are a node’s own from that node: there they mean something else', () => {
    const objects = [object('', '0-1-20,1-1-7', 'a')];
    const newest = at('0-1-100,1-1-9');
    expect(choice([node('a', { newest })], objects)).toBe('a 0-1-20,1-1-7');
    expect(choice([node('b', { newest })], objects)).toBe('b 0-1-20,1-1-7 asks 0-1-20,1-1-9');
    expect(choice([node('b', { newest: at('0-1-100,1-1-3') })], objects)).toBe('b 0-1-20,1-1-7 asks 0-1-20,1-1-3');
    expect(choice([node('b')], objects)).toBe('b 0-1-20,1-1-7 asks 0-1-20');
    // Without Galera all domains are everybody's.
    expect(choice([node('b', { newest, domain: null })], objects)).toBe('b 0-1-20,1-1-7');
  });
});

describe('what a server says of its log', () => {
  const rows = (more: Readonly<Record<string, string>> = {}): readonly (readonly [string, string])[] =>
    Object.entries({
      ...{ log_bin: 'ON', log_slave_updates: 'ON', wsrep_on: 'ON', wsrep_gtid_mode: 'ON', wsrep_gtid_domain_id: '3' },
      ...{ gtid_domain_id: '1', gtid_binlog_pos: '3-1-9,1-1-2', gtid_binlog_state: '1-1-2,3-2-4,3-1-9' },
      ...{
        wsrep_cluster_state_uuid: 'uuid',
        wsrep_cluster_status: 'Primary',
        wsrep_local_state: '4',
        wsrep_ready: 'ON',
      },
      ...more,
    });

  it('is read: whose it is, how far it is, who wrote it, from where it is there', () => {
    expect(parseLog(rows(), '3-1-5')).toEqual({
      ...{ history: 'uuid', domain: 3, state: 'synced', problem: null },
      ...{ newest: at('1-1-2,3-1-9'), oldest: at('3-1-5') },
      writers: ['1-1-2', '3-2-4', '3-1-9'].map((g) => [...at(g).values()][0]),
    });
    expect(parseLog(rows({ wsrep_on: 'OFF' }), '')).toMatchObject({
      history: 'domain-1',
      domain: null,
      state: 'synced',
    });
  });

  it.each([
    [{ wsrep_local_state: '2' }, 'donor'],
    [{ wsrep_local_state: '1' }, 'away'],
    [{ wsrep_cluster_status: 'non-Primary' }, 'away'],
    [{ wsrep_ready: 'OFF' }, 'away'],
  ])('is not to be relied on with %j', (more, state) => {
    expect(parseLog(rows(more), '').state).toBe(state);
  });

  it.each([
    [{ log_bin: 'OFF' }, /log_bin is "OFF": set log_bin=binlog/],
    [{ log_slave_updates: 'OFF' }, /log_slave_updates is "OFF": set log_slave_updates=ON, or what other nodes wrote/],
    [{ wsrep_gtid_mode: 'OFF' }, /wsrep_gtid_mode is "OFF": set wsrep_gtid_mode=ON, or positions differ from node/],
  ])('is no archive with %j', (more, problem) => {
    expect(parseLog(rows(more), '').problem).toMatch(problem);
  });
});
