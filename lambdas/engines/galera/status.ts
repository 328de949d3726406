/**
 * From the rows of SHOW GLOBAL STATUS and SHOW GLOBAL VARIABLES to what a Galera node says of itself. Pure.
 * Source: https://galeracluster.com/library/documentation/galera-status-variables.html
 */
import type { GaleraState, GaleraStatus } from '../../model/galera.ts';
import type { ParsedStatus } from '../probing.ts';

/** Name and value, as SHOW prints them. */
export type StatusRow = readonly [name: string, value: string | null];

/**
 * One round trip (two statements). SHOW is answered without quorum too, where SELECT is refused with error 1047; it needs
 * no privilege beyond USAGE.
 */
export const STATUS_SQL = `SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state', \
'wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_cluster_conf_id', 'wsrep_local_state_uuid', \
'wsrep_last_committed', 'wsrep_incoming_addresses'); SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_node_name', \
'read_only')`;

const STATES: readonly GaleraState[] = ['Undefined', 'Joining', 'Donor/Desynced', 'Joined', 'Synced'];

/** Galera prints "none" of an unsigned number as 2^64 - 1. */
const UNSIGNED_NONE = '18446744073709551615';

const whole = (value: string): number => (value === UNSIGNED_NONE ? -1 : Number(value));

const COMPONENTS: Readonly<Record<string, GaleraStatus['component']>> = {
  primary: 'Primary',
  'non-primary': 'Non-Primary',
  disconnected: 'Disconnected',
};

/**
 * Host parts of `wsrep_incoming_addresses`: `10.0.0.1:3306`, `[fd00::1]:3306`, `db1.internal:3306`, or without port.
 * Members that hide their address (`AUTO`, `unspecified`, nothing) are left out.
 */
export function memberHosts(addresses: string): readonly string[] {
  return addresses
    .split(',')
    .map((entry) => hostOf(entry.trim()))
    .filter((host) => host !== '' && !/^(auto|unspecified|undefined)$/i.test(host));
}

function hostOf(entry: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(entry);
  if (bracketed !== null) return bracketed[1] ?? '';
  // More than one colon and no brackets: an IPv6 address without a port.
  return entry.indexOf(':') === entry.lastIndexOf(':') ? (entry.split(':')[0] ?? '') : entry;
}

/** `seqno` and `viewId` are -1 where the node has none. Never throws. */
export function parseStatus(rows: readonly StatusRow[]): ParsedStatus<GaleraStatus> {
  const values = new Map(rows.map(([name, value]) => [name.toLowerCase(), value ?? '']));
  const missing = ['wsrep_ready', 'wsrep_local_state', 'wsrep_cluster_status'].filter((name) => !values.has(name));
  if (missing.length > 0) {
    return {
      ok: false,
      reason: `it reports no ${missing.join(', no ')}: MariaDB runs without Galera; expected wsrep_on=ON with a wsrep_provider`,
    };
  }
  const get = (name: string): string => values.get(name) ?? '';
  const component = COMPONENTS[get('wsrep_cluster_status').toLowerCase()];
  if (component === undefined) {
    return {
      ok: false,
      reason: `wsrep_cluster_status is ${JSON.stringify(get('wsrep_cluster_status'))}; expected Primary, non-Primary or Disconnected`,
    };
  }
  const numbers = {
    state: whole(get('wsrep_local_state')),
    clusterSize: whole(get('wsrep_cluster_size') || '0'),
    viewId: whole(get('wsrep_cluster_conf_id') || '-1'),
    seqno: whole(get('wsrep_last_committed') || '-1'),
  };
  const broken = Object.entries(numbers).find(([, value]) => !Number.isInteger(value));
  if (broken !== undefined)
    return { ok: false, reason: `its ${broken[0]} is not a whole number; expected Galera's own figures` };
  return {
    ok: true,
    status: {
      engine: 'galera',
      ready: get('wsrep_ready').toUpperCase() === 'ON',
      state: STATES[numbers.state] ?? 'Undefined',
      component,
      clusterSize: numbers.clusterSize,
      viewId: component === 'Primary' ? numbers.viewId : -1,
      stateUuid: get('wsrep_local_state_uuid'),
      seqno: numbers.seqno,
      members: memberHosts(get('wsrep_incoming_addresses')),
      nodeName: get('wsrep_node_name'),
      // MariaDB 12 names the levels: OFF, ON, NO_LOCK, NO_LOCK_NO_ADMIN.
      readOnly: !/^(off|0|)$/i.test(get('read_only')),
    },
  };
}
