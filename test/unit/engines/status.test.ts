import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { memberHosts, parseStatus, type StatusRow } from '../../../lambdas/engines/galera/status.ts';

const UUID = 'cb50bf03-e530-11f1-8e30-1fb452283c58';
const rows = (changes: Record<string, string | null | undefined> = {}): StatusRow[] =>
  Object.entries({
    wsrep_ready: 'ON',
    wsrep_local_state: '4',
    wsrep_cluster_status: 'Primary',
    wsrep_cluster_size: '3',
    wsrep_cluster_conf_id: '7',
    wsrep_local_state_uuid: UUID,
    wsrep_last_committed: '1234',
    wsrep_incoming_addresses: '10.0.1.5:3306,10.0.2.5:3306',
    wsrep_node_name: 'i-0123456789abcdef0',
    read_only: 'OFF',
    ...changes,
  }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));

describe('parseStatus', () => {
  it('reads a synced node', () => {
    expect(parseStatus(rows())).toEqual({
      ok: true,
      status: {
        engine: 'galera',
        ready: true,
        state: 'Synced',
        component: 'Primary',
        clusterSize: 3,
        viewId: 7,
        stateUuid: UUID,
        seqno: 1234,
        members: ['10.0.1.5', '10.0.2.5'],
        nodeName: 'i-0123456789abcdef0',
        readOnly: false,
      },
    });
  });

  it.each([
    ['0', 'Undefined'],
    ['1', 'Joining'],
    ['2', 'Donor/Desynced'],
    ['3', 'Joined'],
    ['4', 'Synced'],
    ['9', 'Undefined'],
  ])('wsrep_local_state %s is %s', (value, state) => {
    expect(parseStatus(rows({ wsrep_local_state: value }))).toMatchObject({ ok: true, status: { state } });
  });

  it('reads a node without quorum, as MariaDB 10.11 prints it', () => {
    const found = parseStatus(
      rows({
        wsrep_ready: 'OFF',
        wsrep_local_state: '0',
        wsrep_cluster_status: 'non-Primary',
        wsrep_cluster_conf_id: '18446744073709551615',
      }),
    );
    expect(found).toMatchObject({ ok: true, status: { ready: false, component: 'Non-Primary', viewId: -1 } });
  });

  it('has no seqno before the first state', () => {
    expect(parseStatus(rows({ wsrep_last_committed: '18446744073709551615' }))).toMatchObject({
      ok: true,
      status: { seqno: -1 },
    });
  });

  it.each([
    ['OFF', false],
    ['ON', true],
    ['1', true],
    ['NO_LOCK_NO_ADMIN', true],
  ])('read_only %s is %s', (value, readOnly) => {
    expect(parseStatus(rows({ read_only: value }))).toMatchObject({ ok: true, status: { readOnly } });
  });

  it('says what is missing of a server without Galera', () => {
    expect(parseStatus([['read_only', 'OFF']])).toEqual({
      ok: false,
      reason: expect.stringMatching(
        /no wsrep_ready, no wsrep_local_state, no wsrep_cluster_status.*wsrep_on=ON/,
      ) as string,
    });
  });

  it.each([
    [{ wsrep_cluster_status: 'Sideways' }, /Sideways/],
    [{ wsrep_cluster_size: 'three' }, /clusterSize/],
  ])('refuses what Galera never prints: %o', (changes, words) => {
    const found = parseStatus(rows(changes));
    expect(found.ok).toBe(false);
    if (!found.ok) expect(found.reason).toMatch(words);
  });

  it('never throws, whatever the rows', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...rows().map(([name]) => name)), fc.option(fc.string()))),
        (given) => {
          const found = parseStatus(given);
          expect(found.ok ? found.status.engine : found.reason).toBeTruthy();
        },
      ),
    );
  });
});

describe('memberHosts', () => {
  it.each([
    ['10.0.1.5:3306,10.0.2.5:3306', ['10.0.1.5', '10.0.2.5']],
    ['10.0.1.5, 10.0.2.5', ['10.0.1.5', '10.0.2.5']],
    ['[fd00::1]:3306,[fd00::2]', ['fd00::1', 'fd00::2']],
    ['fd00::1,db-2.internal:3306', ['fd00::1', 'db-2.internal']],
    ['AUTO,10.0.1.5:3306,AUTO', ['10.0.1.5']],
    [',,unspecified', []],
    ['', []],
  ])('%s', (addresses, hosts) => {
    expect(memberHosts(addresses)).toEqual(hosts);
  });
});
