/** What a server says of its own log: enough to decide whether, and from where, it can be archived from here. Pure but for `askLog`. */
import { formatGtid, type Gtid, type GtidPosition, parseGtid, parseGtidPosition } from '../../../model/archive/gtid.ts';
import type { StatusRow } from '../status.ts';

export interface ServerLog {
  /** Whose log it is: Galera's state UUID; without Galera `domain-<gtid_domain_id>`. */
  readonly history: string;
  /** The domain that all nodes of a Galera cluster count together; null without Galera: then all domains are everybody's. */
  readonly domain: number | null;
  /** `synced`: may be asked. `donor`: in need. `away`: not now. */
  readonly state: 'synced' | 'donor' | 'away';
  /** The last transaction of each domain, and of each server in it. */
  readonly newest: GtidPosition;
  readonly writers: readonly Gtid[];
  /** What must be in already for the rest to be had here: the position before the oldest file's first transaction. */
  readonly oldest: GtidPosition;
  /** Why its log is no archive, if so: the setting, its value, the mend. */
  readonly problem: string | null;
}

const VARIABLES = [
  'log_bin',
  'log_slave_updates',
  'wsrep_on',
  'wsrep_gtid_mode',
  'wsrep_gtid_domain_id',
  'gtid_domain_id',
  'gtid_binlog_pos',
  'gtid_binlog_state',
];
const STATUS = ['wsrep_cluster_state_uuid', 'wsrep_cluster_status', 'wsrep_local_state', 'wsrep_ready'];
const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ');

/** Answered without quorum too. */
export const LOG_SQL = `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${quoted(VARIABLES)}); \
SHOW GLOBAL STATUS WHERE Variable_name IN (${quoted(STATUS)})`;

/** Needs BINLOG MONITOR. Name and size of each file, oldest first. Refused when there is no binlog. */
export const FILES_SQL = 'SHOW BINARY LOGS';

/** The position before a file's first transaction; null when there is no such file any more. */
export const oldestSql = (file: string): string => {
  const name = file.replace(/[\\']/g, (c) => `\\${c}`);
  return `SELECT 'oldest', BINLOG_GTID_POS('${name}', 4)`;
};

const SYNCED = '4';
const DONOR = '2';

const isOn = (value: string | undefined): boolean => /^(on|1)$/i.test(value ?? '');

/** What keeps the log from being an archive's; null when nothing does. */
function problemOf(get: (name: string) => string | undefined, galera: boolean): string | null {
  const set = (name: string, why: string): string =>
    `${name} is ${JSON.stringify(get(name) ?? '')}: set ${name}=ON, ${why} (docs/hosts.md)`;
  if (!isOn(get('log_bin'))) return 'log_bin is "OFF": set log_bin=binlog, or nothing can be archived (docs/hosts.md)';
  if (galera && !isOn(get('log_slave_updates')))
    return set('log_slave_updates', 'or what other nodes wrote is not in its log');
  if (galera && !isOn(get('wsrep_gtid_mode'))) return set('wsrep_gtid_mode', 'or positions differ from node to node');
  return null;
}

function stateOf(get: (name: string) => string | undefined, galera: boolean): ServerLog['state'] {
  if (!galera) return 'synced';
  if (get('wsrep_cluster_status')?.toLowerCase() !== 'primary' || !isOn(get('wsrep_ready'))) return 'away';
  const state = get('wsrep_local_state');
  return state === SYNCED ? 'synced' : state === DONOR ? 'donor' : 'away';
}

/** From the rows of LOG_SQL, and what `oldestSql` answered. Throws RangeError when a position is none. */
export function parseLog(rows: readonly StatusRow[], oldest: string): ServerLog {
  const values = new Map(rows.map(([name, value]) => [name.toLowerCase(), value ?? '']));
  const get = (name: string): string | undefined => values.get(name);
  const galera = isOn(get('wsrep_on'));
  const writers = (get('gtid_binlog_state') ?? '')
    .split(',')
    .filter((g) => g !== '')
    .map(parseGtid);
  return {
    history: galera ? (get('wsrep_cluster_state_uuid') ?? '') : `domain-${get('gtid_domain_id') ?? '0'}`,
    domain: galera ? Number(get('wsrep_gtid_domain_id') ?? 0) : null,
    state: stateOf(get, galera),
    newest: parseGtidPosition(get('gtid_binlog_pos') ?? ''),
    writers,
    oldest: parseGtidPosition(oldest),
    problem: problemOf(get, galera),
  };
}

/** Does the domain count for every node, or is it a node's own (what it wrote with `wsrep_on=OFF`). */
export const isShared = ({ domain }: Pick<ServerLog, 'domain'>, of: number): boolean =>
  domain === null || domain === of;

/** The part of a position that all nodes have in common. */
export const sharedPart = (log: Pick<ServerLog, 'domain'>, position: GtidPosition): GtidPosition =>
  new Map([...position].filter(([domain]) => isShared(log, domain)));

export const describePosition = (position: GtidPosition): string =>
  [...position.values()].map(formatGtid).join(',') || 'the beginning';
