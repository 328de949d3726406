/**
 * The account's other users: other clusters of this plane, other teams and their tools. They take from the same buckets, and those clusters
 * from reconcile's turns too. Mostly little; in a storm more than AWS gives back, so that a bucket stands empty for minutes.
 */
import type { Pace, Turn } from '../../lambdas/cloud/ports.ts';
import type { World } from '../world.ts';
import { LAUNCHES } from '../../lambdas/reconcile/start.ts';
import { LIMITS } from './limits.ts';
import type { Bucket } from './limits.ts';

/** Clusters of the account, with ours. */
export const CLUSTERS = 100;

/** Which buckets a storm is about, and how often others ask, as a share of what comes back in each: below 1 it does not empty. */
interface Storm {
  readonly why: string;
  readonly asks: readonly (readonly [Bucket, low: number, high: number])[];
  /** Turns that other clusters of the plane want of each environment of reconcile, a second. */
  readonly turns: readonly (readonly [Turn, number])[];
  /** Launches for which other clusters of the plane take turns, a second. */
  readonly launches: number;
}

/** Others launch as fast as they are let: for us there is no token as long as that lasts. */
const FOR_NOBODY_ELSE = 1e6;

const STORMS: readonly Storm[] = [
  {
    why: 'a zone takes nodes of other clusters',
    asks: [
      ['elasticloadbalancing:DescribeTargetHealth', 0.8, 2],
      ['elasticloadbalancing:RegisterTargets', 0.8, 3],
      ['elasticloadbalancing:ModifyTargetGroupAttributes', 0.5, 2],
      ['elasticloadbalancing:all', 0.7, 1.2],
      ['ec2:DescribeInstances', 0.6, 1.5],
      ['ec2:DescribeVolumes', 0.5, 1.2],
      ['ec2:RunInstances', 1, 10],
      ['ec2:StopInstances', 0.3, 1.5],
      ['ssm:SendCommand', 0.5, 1.5],
      ['ssm:GetCommandInvocation', 0.5, 1.5],
      ['ssm:GetParameter', 0.5, 1.1],
      ['states:DescribeExecution', 0.5, 1.5],
      ['route53:all', 0.5, 2],
    ],
    turns: [
      ['describe', 6],
      ['register', 2],
      ['instances', 6],
      ['specs', 6],
      ['executions', 4],
      ['dns', 5],
    ],
    launches: 1,
  },
  {
    why: "another team's groups grow",
    asks: [
      ['ec2:RunInstances', FOR_NOBODY_ELSE, FOR_NOBODY_ELSE],
      ['ec2:RunInstances instances', FOR_NOBODY_ELSE, FOR_NOBODY_ELSE],
      ['ec2:DescribeInstances', 0.5, 2],
    ],
    turns: [],
    launches: 0,
  },
  {
    why: 'a tool lists all balancers',
    asks: [
      ['elasticloadbalancing:DescribeTargetHealth', 2, 10],
      // What one bucket refuses takes nothing from the other.
      ['elasticloadbalancing:all', 0.7, 1.2],
    ],
    turns: [],
    launches: 0,
  },
  { why: 'a tool lists all instances', asks: [['ec2:DescribeInstances', 2, 10]], turns: [], launches: 0 },
  {
    why: "another team's targets come and go",
    asks: [['elasticloadbalancing:RegisterTargets', 1.5, 6]],
    turns: [],
    launches: 0,
  },
  {
    why: 'a tool patches all hosts',
    asks: [
      ['ssm:SendCommand', 1.5, 6],
      ['ssm:GetCommandInvocation', 1.5, 6],
      ['ssm:DescribeInstanceInformation', 1.5, 6],
      ['ssm:GetParameter', 1, 3],
    ],
    turns: [],
    launches: 0,
  },
  { why: 'another team moves its zones', asks: [['route53:all', 1.5, 10]], turns: [], launches: 0 },
];

const TURNS_EVERY_MS = 500;

export class Others {
  readonly #world: World;
  /** How often others ask on a quiet night, as a share of what comes back. */
  #quiet = 0;
  #storm: Storm | null = null;
  #until = 0;
  readonly #paces = new Set<Pace>();

  constructor(world: World) {
    this.#world = world;
  }

  /** A storm goes on, or has emptied the buckets a moment ago. */
  stormed(withinMs: number): boolean {
    return this.#storm !== null || this.#world.clock.nowMs() < this.#until + withinMs;
  }

  /** What others do all night. */
  rest(share: number): void {
    this.#quiet = share;
    this.#calm();
  }

  /** An environment of reconcile works: others have turns of it as well. It ends, and nobody has. */
  lend(pace: Pace): void {
    this.#paces.add(pace);
  }

  takeBack(pace: Pace): void {
    this.#paces.delete(pace);
  }

  /** `zone`: of that kind; else of any. A storm that goes on is followed by this one. */
  begin(isZone: boolean): string {
    const { random, clock, account } = this.#world;
    const storm = (isZone ? STORMS[0] : random.pick(STORMS)) as Storm;
    this.#calm();
    this.#storm = storm;
    for (const [bucket, low, high] of storm.asks)
      account.share(bucket, LIMITS[bucket].perSecond * (low + random.next() * (high - low)));
    const forMs = random.chance(0.3) ? random.int(120_000, 420_000) : random.int(10_000, 90_000);
    this.#until = clock.nowMs() + forMs;
    clock.in(forMs, () => {
      if (this.#storm === storm && clock.nowMs() >= this.#until) this.end();
    });
    if (storm.turns.length > 0) this.#takeTurns(storm);
    return `${storm.why}: for ${forMs} ms they ask AWS for more than it gives`;
  }

  end(): void {
    if (this.#storm === null) return;
    this.#world.story.tell('others', `${this.#storm.why}: that is over`);
    this.#until = this.#world.clock.nowMs();
    this.#calm();
  }

  #calm(): void {
    this.#storm = null;
    for (const bucket of Object.keys(LIMITS) as Bucket[])
      this.#world.account.share(bucket, LIMITS[bucket].perSecond * this.#quiet);
  }

  /** They wait for their turns as ours does, and come back when there is none. */
  #takeTurns(storm: Storm): void {
    if (this.#storm !== storm) return;
    for (const pace of this.#paces)
      for (const [turn, perSecond] of storm.turns)
        void pace.turn(turn, (perSecond * TURNS_EVERY_MS) / 1000).then(null, () => undefined);
    if (this.#world.random.chance((storm.launches * TURNS_EVERY_MS) / 1000))
      this.#world.aws.takeLaunch({ nowMs: this.#world.clock.nowMs(), ...LAUNCHES });
    this.#world.clock.in(TURNS_EVERY_MS, () => this.#takeTurns(storm));
  }
}
