/** Plausible bugs of Galera's shipper: the simulator must catch every one. */
import type { Observer } from '../../../lambdas/archive/ship/galera/ports.ts';
import type { DbTarget } from '../../../lambdas/cloud/ports.ts';
import type { DumpOptions } from '../../../lambdas/engines/galera/binlog/dump.ts';
import type { Mark } from '../../../lambdas/engines/galera/binlog/observer.ts';
import { parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { parseSource } from '../../../lambdas/model/archive/binlog-source.ts';
import { parseKey } from '../../../lambdas/model/archive/keys.ts';
import type { Intercept } from '../../plane.ts';
import type { Sabotage } from '../../sabotage.ts';
import type { World } from '../../world.ts';
import { GaleraArchive } from './side.ts';
import { gtid } from './servers.ts';

/** The archive's side that a night with Galera's archive has. */
function sideOf({ archive }: World): GaleraArchive {
  if (archive?.side instanceof GaleraArchive) return archive.side;
  throw new Error('the night has no archive of Galera, expected one');
}

/** The connection on which a server is asked how far it is. */
const ofMarks =
  (spoiled: (observer: Observer, id: string) => Promise<Mark>): Intercept =>
  async ({ operation, args }, go) => {
    const answer = await go();
    if (operation !== 'binlog.observe') return answer;
    const observer = answer as Observer;
    return { ...observer, mark: () => spoiled(observer, (args[0] as DbTarget).instanceId) };
  };

/** The key of the log that was stored last. */
const lastLog = (w: World): string | undefined =>
  [...w.aws.objects.keys()].findLast((key) => parseKey(key)?.object.kind === 'binlog');

/** The instance that it came from. */
function lastSource(w: World): string | null {
  const object = parseKey(lastLog(w) ?? '')?.object;
  return object?.kind === 'binlog' ? parseSource(object.source).instance : null;
}

const SABOTAGES: readonly Sabotage[] = [
  {
    name: 'note a position that S3 has not taken',
    caughtBy: 13,
    breaks: ['10'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) => (operation === 'bucket.put' ? go().catch(() => 'stored') : go());
    },
  },
  {
    name: 'read another node from where it is',
    breaks: ['archive'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        const [target, options] = args as [DbTarget, DumpOptions];
        if (operation === 'binlog.dump' && lastSource(w) !== target.instanceId) {
          const end = sideOf(w).binlogs.of(target.instanceId)?.end.seqno ?? 0;
          args[1] = { ...options, after: parseGtidPosition(gtid(end)) };
        }
        return go();
      };
    },
  },
  {
    name: 'take a node’s word without waiting for the cluster',
    breaks: ['archive', '10'],
    spoil: (w) => {
      w.intercept = ofMarks(async (_, id) => ({
        atMs: w.clock.nowMs(),
        position: parseGtidPosition(gtid(sideOf(w).binlogs.of(id)?.end.seqno ?? 0)),
      }));
    },
  },
  {
    name: 'a gap wherever the preferred node has one',
    caughtBy: 3,
    breaks: ['archive'],
    spoil: (w) => {
      w.intercept = async ({ operation, actor }, go) => {
        if (operation !== 'instances.ofCluster' || !actor.name.startsWith('ship-')) return go();
        const all = (await go()) as readonly { readonly id: string }[];
        return all.slice(-1);
      };
    },
  },
  {
    name: 'retention takes the newest binlog',
    breaks: ['archive'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        if (operation === 'bucket.remove') args[0] = [...(args[0] as readonly string[]), lastLog(w) ?? ''];
        return go();
      };
    },
  },
  {
    name: 'ship a binlog without the lease',
    breaks: ['lease'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) => (operation === 'leases.take' ? go().then(() => true) : go());
    },
  },
];

export const GALERA_ARCHIVE_SABOTAGES: readonly Sabotage[] = SABOTAGES.map((s) => ({
  ...s,
  engine: 'galera',
  archive: true,
}));
