/** Plausible bugs of the archive: the simulator must catch every one. */
import type { ReplicationSession, StreamRequest } from '../../lambdas/engines/postgres/replication.ts';
import { parseKey } from '../../lambdas/model/archive/keys.ts';
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
    caughtBy: 10,
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

export const ARCHIVE_SABOTAGES: readonly Sabotage[] = SABOTAGES.map((s) => ({
  ...s,
  engine: 'postgres',
  archive: true,
}));
