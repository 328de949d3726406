/** A Galera cluster in the simulator. */
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import { STATE_UUID, aSpec } from '../../test/fakes/index.ts';
import type { Fault } from '../faults.ts';
import { FAULTS } from '../faults.ts';
import type { Side } from '../side.ts';
import type { World } from '../world.ts';
import { GaleraModel } from './cluster.ts';
import { GaleraProber, GaleraScripts } from './hosts.ts';
import { restoreQuorum } from './person.ts';
import { GaleraRules } from './rules.ts';

const FIRST_SEQNO = 1000;

export interface GaleraSide extends Side {
  readonly database: GaleraModel;
}

export function galeraSide(world: World, spec: ClusterSpec = aSpec()): GaleraSide {
  const database = new GaleraModel({
    nowMs: () => world.clock.nowMs(),
    random: (low, high) => world.random.int(low, high),
    tell: (what) => world.story.tell('galera', what),
    volumeOf: (id) => world.volumeOf(id),
    hostRuns: (id) => world.hostRuns(id),
    addressOf: (id) => world.addressOf(id) ?? '',
    reach: (a, b) => world.reach(a, b),
  });
  const scripts = new GaleraScripts(world, database);
  return {
    spec,
    database,
    prober: new GaleraProber(world, database),
    admin: null,
    rules: new GaleraRules(world, database),
    faults: FAULTS_OF_GALERA,
    found(nodes) {
      database.found(
        nodes.map((n) => n.id),
        STATE_UUID,
      );
      for (const { id } of nodes) {
        const volume = world.volumeOf(id);
        const branch = database.node(id).component?.data.branch;
        if (volume !== null && branch !== undefined)
          database.disks.set(volume, { branch, seqno: FIRST_SEQNO, clean: false });
      }
    },
    runScript: (id, document, parameters, end) => scripts.run(id, document, parameters, end),
    help: () => restoreQuorum(world, database),
    calm: () => undefined,
    unfinished: () => [],
    stuck: { told: /REFUSED_QUORUM_LOST|gave up/, why: 'quorum lost' },
  };
}

const manualBootstrap: Fault = (w) => {
  const name = `manual-${w.aws.nextNumber()}`;
  const input = {
    cluster: w.spec.name,
    incident: name,
    mode: 'bootstrap',
    node: null,
    reason: 'a person wants it',
  } as const;
  void w.cloud.workflows.start(name, input).then((arn) => w.functions.begin(arn));
  return `a person starts the bootstrap ${name}`;
};

/** Their order is what a seed draws from: it stays as it is. */
const { manualReplace, noise, ...others } = FAULTS;
const FAULTS_OF_GALERA = { ...others, manualBootstrap, manualReplace, noise } as Readonly<Record<string, Fault>>;
