/** Plausible bugs of the archive: the simulator must catch every one. */
import type { StoredObject } from '../../lambdas/cloud/ports.ts';
import type { ReplicationSession, StreamRequest } from '../../lambdas/engines/postgres/replication.ts';
import type { WalObject } from '../../lambdas/model/archive/keys.ts';
import { keyOf, parseKey } from '../../lambdas/model/archive/keys.ts';
import { compareLsn } from '../../lambdas/model/lsn.ts';
import type { Sabotage } from '../sabotage.ts';

const SABOTAGES: readonly Sabotage[] = [
  {
    name: 'confirm what S3 has not taken',
    breaks: ['10'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) => (operation === 'bucket.put' ? go().catch(() => 'stored') : go());
    },
  },
  {
    name: 'overwrite what is there',
    caughtBy: 18,
    breaks: ['archive'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        const [key, body] = args as [string, Uint8Array];
        if (operation === 'bucket.put' && w.aws.objects.has(key)) w.archive?.bucket.overwrite(key, body);
        return go();
      };
    },
  },
  {
    name: 'stream the rest of the old timeline as the new one’s',
    breaks: ['archive', '10'],
    spoil: (w) => {
      w.intercept = async ({ operation }, go) => {
        const answer = await go();
        if (operation !== 'replication.open') return answer;
        const session = answer as ReplicationSession;
        const stream = session.stream.bind(session);
        session.stream = async (request: StreamRequest, events) =>
          stream({ ...request, timeline: (await session.identify()).timeline }, events);
        return session;
      };
    },
  },
  {
    name: 'skip the hole that a killed shipper left',
    breaks: ['archive', '10'],
    spoil: (w) => {
      w.intercept = async ({ actor, operation }, go) => {
        const answer = await go();
        if (operation !== 'bucket.listed' || !actor.name.startsWith('ship-')) return answer;
        return withoutHoles(answer as readonly StoredObject[]);
      };
    },
  },
  {
    name: 'take the word of a writer that was replaced',
    caughtBy: 582,
    breaks: ['archive'],
    spoil: (w) => {
      const first = new WeakMap<object, unknown>();
      w.intercept = async ({ actor, operation }, go) => {
        const answer = await go();
        if (operation !== 'ledger.read' || !actor.name.startsWith('ship-')) return answer;
        if (!first.has(actor)) first.set(actor, answer);
        return first.get(actor);
      };
    },
  },
  {
    name: 'ship without the lease',
    breaks: ['lease'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) => (operation === 'leases.take' ? go().then(() => true) : go());
    },
  },
  {
    name: 'retention takes the newest base',
    breaks: ['archive'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        if (operation === 'bucket.remove') {
          const newest = [...w.aws.objects.keys()]
            .filter((key) => parseKey(key)?.object.kind === 'manifest')
            .sort()
            .at(-1);
          if (newest !== undefined) args[0] = [...(args[0] as readonly string[]), newest];
        }
        return go();
      };
    },
  },
];

/** A listing in which every hole of a timeline's log is filled by an object that is not there. */
function withoutHoles(listed: readonly StoredObject[]): readonly StoredObject[] {
  const whole: StoredObject[] = [];
  let before: WalObject | null = null;
  for (const stored of listed) {
    const found = parseKey(stored.key);
    if (found?.object.kind === 'wal') {
      const { start, end, timeline } = found.object;
      if (before !== null && before.timeline === timeline && compareLsn(before.end, start) < 0) {
        const key = keyOf(found.place, { kind: 'wal', timeline, start: before.end, end: start, coveredMs: 0 });
        whole.push({ key, sizeBytes: 1 });
      }
      if (before === null || before.timeline !== timeline || compareLsn(before.end, end) < 0) before = found.object;
    }
    whole.push(stored);
  }
  return whole;
}

export const ARCHIVE_SABOTAGES: readonly Sabotage[] = SABOTAGES.map((s) => ({
  ...s,
  engine: 'postgres',
  archive: true,
}));
