/** What befalls the cluster and the plane, one at a time, and how it all stops. */
import type { Instance } from '../lambdas/model/view.ts';
import { brake, brakeMidway, othersFail, releaseBrake, slowTwins } from './bad-moments.ts';
import { pairOf } from './pair.ts';
import { CALM } from './weather.ts';
import type { World } from './world.ts';

export type Fault = (world: World) => string | null;

export const running = (w: World): readonly Instance[] => w.instancesOf().filter((i) => w.hostRuns(i.id));
export const some = (w: World): string | undefined => w.random.pick(running(w))?.id;
const served = (w: World): string | undefined => w.random.pick(running(w).filter((i) => w.database.isUp(i.id)))?.id;
export const writer = (w: World): string | undefined => {
  const { writer: id } = w.ledger();
  return id !== null && w.hostRuns(id) ? id : undefined;
};

/** A host ends cleanly or by a power cut. */
function ends(w: World, id: string, clean: boolean): void {
  if (clean) w.database.stop(id);
  else w.database.crash(id);
}

export function passing(w: World, set: Set<string>, id: string, low: number, high: number): void {
  set.add(id);
  const ms = w.random.int(low, high);
  w.clock.in(ms, () => {
    if (set.delete(id)) w.story.tell('fault', `${id} is reachable again`);
  });
}

function terminate(w: World, id: string | undefined): string | null {
  if (id === undefined) return null;
  const clean = w.random.chance(0.5);
  ends(w, id, clean);
  void w.cloud.instances.terminate(id);
  return `${id} is terminated${clean ? '' : ' by a power cut'}`;
}

const crash = (w: World, id: string | undefined): string | null => {
  if (id === undefined) return null;
  w.database.crash(id);
  return `the database on ${id} is killed`;
};

const hang = (w: World, id: string | undefined): string | null => {
  if (id === undefined) return null;
  w.database.hang(id);
  if (w.random.chance(0.5)) w.clock.in(w.random.int(2000, 60_000), () => w.database.resume(id));
  return `the database on ${id} hangs`;
};

/** Those of every engine. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  terminateNode: (w) => terminate(w, some(w)),
  terminateWriter: (w) => terminate(w, writer(w)),
  crashNode: (w) => crash(w, served(w)),
  crashWriter: (w) => crash(w, writer(w)),
  hangNode: (w) => hang(w, served(w)),
  hangWriter: (w) => hang(w, writer(w)),
  stopNode: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    ends(w, id, true);
    void w.cloud.instances.stop(id);
    if (w.random.chance(0.5)) {
      w.clock.in(w.random.int(10_000, 60_000), () => {
        if (w.aws.instances.get(id)?.state !== 'stopped') return;
        w.setState(id, 'running');
        w.startedByHand.add(id);
        w.story.tell('fault', `a person starts ${id} again`);
      });
    }
    return `${id} is stopped by a person`;
  },
  reboot: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    ends(w, id, w.random.chance(0.7));
    return `${id} reboots`;
  },
  twoOfThree: (w) => {
    const first = terminate(w, some(w));
    return `${first ?? 'nothing'}; ${terminate(w, some(w)) ?? 'nothing'}`;
  },
  allCrash: (w) => {
    for (const i of running(w)) w.database.crash(i.id);
    return 'every database process is killed';
  },
  zoneOutage: (w) => {
    const zone = w.random.pick(w.spec.subnets)?.zone;
    if (zone === undefined) return null;
    const inside = running(w).filter((i) => i.zone === zone);
    for (const i of inside) w.database.crash(i.id);
    w.downZones.add(zone);
    const gone = w.random.chance(0.5);
    if (w.random.chance(0.5)) w.story.tell('others', w.others.begin(true));
    w.clock.in(w.random.int(20_000, 120_000), () => {
      w.downZones.delete(zone);
      if (gone) for (const i of inside) void w.cloud.instances.terminate(i.id);
      w.story.tell('fault', `${zone} is back`);
    });
    return `${zone} is lost, with ${inside.map((i) => i.id).join(', ')}`;
  },
  isolate: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    passing(w, w.isolated, id, 2000, 150_000);
    return `${id} cannot reach its peers`;
  },
  cutPair: (w) => {
    const [a, b] = [some(w), some(w)];
    if (a === undefined || b === undefined || a === b) return null;
    passing(w, w.cutPairs, pairOf(a, b), 2000, 120_000);
    return `${a} and ${b} cannot reach each other`;
  },
  blind: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    passing(w, w.unseen, id, 2000, 90_000);
    return `the plane cannot reach ${id}`;
  },
  blindAll: (w) => {
    for (const i of running(w)) passing(w, w.unseen, i.id, 2000, 60_000);
    return 'the plane cannot reach any node';
  },
  isolateAndBlind: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    passing(w, w.unseen, id, 20_000, 90_000);
    passing(w, w.isolated, id, 20_000, 90_000);
    return `nobody can reach ${id}`;
  },
  muteAgent: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    passing(w, w.mute, id, 5000, 120_000);
    return `the SSM agent of ${id} does not answer`;
  },
  planeOff: (w) => {
    w.unattended.begins();
    w.planeOn = false;
    w.functions.off();
    w.signalsQueue.enabled = false;
    w.reconcileQueue.enabled = false;
    w.clock.in(w.random.int(10_000, 120_000), () => switchOn(w));
    return 'the whole control plane is switched off';
  },
  maintenance: (w) => {
    const id = w.random.chance(0.5) ? writer(w) : some(w);
    if (id === undefined) return null;
    const { maintenance } = w.ledger();
    const action = maintenance === null ? 'maintenance-on' : 'maintenance-off';
    void w.functions.operate({ action, cluster: w.spec.name, node: maintenance?.node ?? id, by: 'sim' });
    return `a person asks for ${action} of ${maintenance?.node ?? id}`;
  },
  acknowledge: (w) => {
    void w.functions.operate({ action: 'acknowledge', cluster: w.spec.name, by: 'sim' });
    return 'a person acknowledges';
  },
  status: (w) => {
    void w.functions.operate({ action: 'status', cluster: w.spec.name });
    return 'a person asks how things are';
  },
  brake,
  brakeMidway,
  othersFail,
  othersAsk: (w) => w.others.begin(w.random.chance(0.4)),
  slowTwins,
  abortExecution: (w) => {
    const runs = w.random.pick([...w.aws.executions.values()].filter((e) => e.state === 'RUNNING'));
    if (runs === undefined) return null;
    w.functions.abort(runs.arn);
    return `a person stops ${runs.name}`;
  },
  manualReplace: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    const name = `manual-${w.aws.nextNumber()}`;
    const mode = w.random.chance(0.5) ? 'replace' : 'rejoin';
    const input = { cluster: w.spec.name, incident: name, mode, node: id, reason: 'a person wants it' } as const;
    void w.cloud.workflows.start(name, input).then((arn) => w.functions.begin(arn));
    return `a person starts ${mode} ${name} of ${id}`;
  },
  noise: (w) => {
    w.signalsQueue.send('{"not":"an event"', null);
    return 'a malformed message arrives';
  },
};

function switchOn(w: World): void {
  if (w.planeOn) return;
  w.planeOn = true;
  w.signalsQueue.enabled = true;
  w.reconcileQueue.enabled = true;
  w.signalsQueue.poll();
  w.reconcileQueue.poll();
  w.guard.requests.served();
  w.story.tell('fault', 'the control plane is on again');
}

/** One fault at random. */
export function strike(w: World): void {
  const { faults } = w.side;
  const name = w.random.pick(Object.keys(faults)) ?? 'noise';
  if (name !== 'planeOff') w.unattended.struck();
  const what = faults[name]?.(w) ?? null;
  if (what !== null) w.story.tell('FAULT', `${name}: ${what}`);
}

/** Everything that passes by itself has passed, and people have put down what they held. */
/** A person who asked for it has done what it was for. */
export function endMaintenance(w: World): void {
  const { maintenance } = w.ledger();
  if (maintenance === null) return;
  void w.functions.operate({ action: 'maintenance-off', cluster: w.spec.name, node: maintenance.node, by: 'sim' });
}

export function calm(w: World): void {
  w.isCalm = true;
  w.twinsUntilMs = 0;
  w.unseen.clear();
  w.isolated.clear();
  w.cutPairs.clear();
  w.mute.clear();
  w.downZones.clear();
  w.others.end();
  w.others.rest(CALM.others);
  w.side.calm();
  w.archive?.calm();
  switchOn(w);
  endMaintenance(w);
  releaseBrake(w);
  w.story.tell('FAULT', 'the faults stop');
}
