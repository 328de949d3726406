/** The scripts of `nodes/` that run on hosts: what each is given, and how long it may take (docs/architecture.md, "Hosts"). */
import type { EngineKind } from '../../lambdas/model/spec.ts';

export interface HostParameter {
  readonly name: string;
  readonly description: string;
  readonly allowedPattern: string;
  readonly default?: string;
}

export interface HostScript {
  readonly engine: EngineKind;
  readonly script: string;
  readonly description: string;
  readonly parameters: readonly HostParameter[];
  readonly timeoutSeconds: number;
  /** Files of `nodes/` that go in front of it, beside both `lib.sh`. */
  readonly libraries?: readonly string[];
}

/** As `HostCommands.start` takes it: `galera-join`. */
export const shortNameOf = ({ engine, script }: Pick<HostScript, 'engine' | 'script'>): string => `${engine}-${script}`;

const NODE_ADDRESS = '[0-9A-Za-z.:_-]{1,255}';

/** Of both engines' `prepare`. */
const volumeOrPeer: readonly HostParameter[] = [
  { name: 'Source', description: 'volume or peer', allowedPattern: '^(volume|peer)$' },
  {
    name: 'VolumeId',
    description: 'The surviving volume, or none',
    allowedPattern: '^(vol-[0-9a-f]{8,17}|none)$',
    default: 'none',
  },
];

const bucket: HostParameter = {
  name: 'Bucket',
  description: "The archive's bucket",
  allowedPattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$',
};
const KEY = '[A-Za-z0-9._~/,-]{1,1024}';

/** Of both engines: all run detached, and tell how far they are when they are run again with the same parameters. */
const archiveScripts = (
  database: string,
  ofRestore: readonly HostParameter[] = [],
): readonly Omit<HostScript, 'engine'>[] => [
  {
    script: 'backup',
    description: `Streams a base backup of ${database} into an upload to S3`,
    parameters: [
      bucket,
      { name: 'Key', description: "The base backup's object", allowedPattern: `^${KEY}$` },
      { name: 'UploadId', description: 'Of the upload, as S3 gave it', allowedPattern: '^[A-Za-z0-9._~+/=-]{1,1024}$' },
      { name: 'PartBytes', description: 'Size of its parts', allowedPattern: '^[0-9]{7,10}$', default: '67108864' },
    ],
    timeoutSeconds: 600,
    libraries: ['s3.sh', 'job.sh', 'backup.sh'],
  },
  {
    script: 'restore',
    description: `Makes a database of ${database} out of the archive, at a moment of the past`,
    parameters: [
      bucket,
      { name: 'Plan', description: "Key of the restore's plan", allowedPattern: `^${KEY}$` },
      ...ofRestore,
    ],
    timeoutSeconds: 600,
    libraries: ['s3.sh', 'job.sh', 'restore.sh'],
  },
  {
    script: 'checksum',
    description: `A digest over every table of ${database}, and the place in its log that it is of`,
    parameters: [{ name: 'Live', description: 'Is it written to meanwhile: yes or no', allowedPattern: '^(yes|no)$' }],
    timeoutSeconds: 600,
    libraries: ['s3.sh', 'job.sh'],
  },
];

/** A state transfer goes on in MariaDB after `join` has answered. A bootstrap that is killed leaves systemd ready to make a second cluster. */
const GALERA_SCRIPTS: readonly Omit<HostScript, 'engine'>[] = [
  { script: 'position', description: "Prints this node's position", parameters: [], timeoutSeconds: 1080 },
  {
    script: 'prepare',
    description: 'Makes the data directory ready',
    parameters: volumeOrPeer,
    timeoutSeconds: 780,
  },
  {
    script: 'join',
    description: 'Starts MariaDB as a joiner',
    parameters: [
      {
        name: 'Peers',
        description: 'Addresses of living members, comma-separated',
        allowedPattern: `^${NODE_ADDRESS}(,${NODE_ADDRESS}){0,8}$`,
      },
      {
        name: 'Donor',
        description: 'Node that gives the missing state, or any',
        allowedPattern: '^[0-9A-Za-z._-]{1,64}$',
        default: 'any',
      },
    ],
    timeoutSeconds: 600,
  },
  {
    script: 'bootstrap',
    description: 'Starts a new primary component here',
    parameters: [
      {
        name: 'StateUuid',
        description: 'State UUID that the node must still have',
        allowedPattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
      },
      {
        name: 'Seqno',
        description: 'Sequence number that the node must still have',
        allowedPattern: '^-?[0-9]{1,19}$',
      },
      {
        name: 'NewHistory',
        description: 'Begin with a state UUID of its own: yes or no',
        allowedPattern: '^(yes|no)$',
        default: 'no',
      },
    ],
    timeoutSeconds: 1440,
  },
  { script: 'stop', description: 'Shuts MariaDB down cleanly', parameters: [], timeoutSeconds: 600 },
  ...archiveScripts('MariaDB'),
];

/** A base backup and a rewind go on after `join` has answered: the script started them detached, and finds them again. */
const POSTGRES_SCRIPTS: readonly Omit<HostScript, 'engine'>[] = [
  { script: 'position', description: "Prints this node's position", parameters: [], timeoutSeconds: 480 },
  {
    script: 'prepare',
    description: 'Makes the data directory ready',
    parameters: volumeOrPeer,
    timeoutSeconds: 780,
    libraries: ['job.sh'],
  },
  {
    script: 'start',
    description: 'Starts PostgreSQL as a standby that follows nobody',
    parameters: [],
    timeoutSeconds: 1080,
    libraries: ['job.sh'],
  },
  {
    script: 'join',
    description: 'Makes a running replica out of whatever is on the disk',
    parameters: [
      { name: 'Primary', description: "The primary's address", allowedPattern: `^${NODE_ADDRESS}$` },
      { name: 'PrimaryPort', description: "The primary's port", allowedPattern: '^[0-9]{1,5}$' },
      {
        name: 'Donor',
        description: 'Address of the node that a base backup is taken from, or none',
        allowedPattern: `^${NODE_ADDRESS}$`,
        default: 'none',
      },
      {
        name: 'ReplicationUser',
        description: 'The user that replicas stream as',
        allowedPattern: '^[a-z_][a-z0-9_]{0,62}$',
      },
    ],
    timeoutSeconds: 1140,
    libraries: ['job.sh'],
  },
  { script: 'stop', description: 'Shuts PostgreSQL down cleanly', parameters: [], timeoutSeconds: 600 },
  ...archiveScripts('PostgreSQL', [
    {
      name: 'Finish',
      description: 'What it leaves: a primary that serves, or a standby that is stopped',
      allowedPattern: '^(primary|standby)$',
      default: 'primary',
    },
  ]),
];

const of = (engine: EngineKind, scripts: readonly Omit<HostScript, 'engine'>[]): readonly HostScript[] =>
  scripts.map((script) => ({ engine, ...script }));

/**
 * Each script is ended by SSM after its time, which is longer than the script's own limits together (a crash recovery that is
 * cut off begins anew), and ends before the workflow's step stops asking (`DEADLINES`).
 */
export const HOST_SCRIPTS: readonly HostScript[] = [
  ...of('galera', GALERA_SCRIPTS),
  ...of('postgres', POSTGRES_SCRIPTS),
];
