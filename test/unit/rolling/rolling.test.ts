/** The rolling replacement, by running its definition and its children's against a cluster in memory. */
import { describe, expect, it } from 'vitest';
import type { Workflows } from '../../../lambdas/cloud/ports.ts';
import type { RecoveryInput } from '../../../lambdas/model/recovery.ts';
import type { ClusterSpec } from '../../../lambdas/model/spec.ts';
import { TEMPLATE_VERSION_TAG } from '../../../lambdas/model/spec.ts';
import { slotOf } from '../../../lambdas/model/postgres.ts';
import type { ExecutionState } from '../../../lambdas/model/view.ts';
import { replacement } from '../../../lambdas/replace/steps.ts';
import { rollingOver } from '../../../lambdas/rolling/steps.ts';
import { childName } from '../../../lambdas/rolling/steps/child.ts';
import { replaceDefinition } from '../../../lib/workflows/replace.ts';
import { rollingDefinition } from '../../../lib/workflows/rolling.ts';
import type { Run } from '../../support/asl.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { EXECUTION, World } from '../../support/recovery-world.ts';

const functionArn = 'arn:aws:lambda:eu-west-1:123456789012:function:x';
const definition = rollingDefinition({ functionArn });
const child = replaceDefinition({ functionArn });

/** Runs each child to its end when it is started; one that was started before is not started again. */
class Children implements Workflows {
  readonly started: { readonly name: string; readonly input: RecoveryInput }[] = [];
  readonly states = new Map<string, ExecutionState>();
  /** How a child ends that is not run at all; null: it runs. */
  instead: (input: RecoveryInput) => ExecutionState | null = () => null;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async start(name: string, input: RecoveryInput): Promise<string> {
    const arn = `arn:aws:states:eu-west-1:123456789012:execution:child:${name}`;
    if (this.states.has(arn)) return arn;
    this.states.set(arn, 'RUNNING');
    this.started.push({ name, input });
    const instead = this.instead(input);
    if (instead !== null) this.states.set(arn, instead);
    else if (input.mode === 'switchover') this.states.set(arn, this.#switchOver());
    else this.states.set(arn, (await this.#world.run(child, replacement, input, arn)).status);
    return arn;
  }

  state(arn: string): Promise<ExecutionState> {
    return Promise.resolve(this.states.get(arn) ?? 'NOT_FOUND');
  }

  /** What the machine of that name brings about: another primary, and everybody follows it. */
  #switchOver(): ExecutionState {
    const { postgres } = this.#world;
    if (postgres === null) return 'FAILED';
    const { writer } = this.#world.ledger();
    const next = this.#world.serving().find((id) => id !== writer) ?? '';
    const host = this.#world.aws.instances.get(next)?.privateIp ?? null;
    for (const server of postgres.fake.servers.values()) {
      if (server.disk === null || this.#world.aws.instances.get(server.id)?.state !== 'running') continue;
      server.recovering = server.id !== next;
      Object.assign(server.disk, { names: '', upstreamHost: host, upstreamSlot: slotOf(server.id) });
      postgres.fake.server(next).disk?.slots.add(slotOf(server.id));
    }
    this.#world.setLedger({ writer: next });
    postgres.upkeep(null);
    return 'SUCCEEDED';
  }
}

interface Night {
  readonly world: World;
  readonly children: Children;
  readonly run: (input?: object, execution?: string) => Promise<Run>;
}

function prepare(overrides: Partial<ClusterSpec> = {}): Night {
  const world = new World(overrides);
  world.aws.templates.set(world.spec.launchTemplate.id, { default: 2, latest: 2 });
  const children = new Children(world);
  const capability = rollingOver(children);
  const run = (input: object = { cluster: 'orders' }, execution = EXECUTION): Promise<Run> =>
    world.run(definition, capability, input, execution);
  return { world, children, run };
}

const versions = (world: World): readonly string[] =>
  world.serving().map((id) => world.aws.instances.get(id)?.tags[TEMPLATE_VERSION_TAG] ?? 'none');

const engines: readonly [string, Partial<ClusterSpec>][] = [
  ['galera', {}],
  ['postgres', { engine: POSTGRES }],
];

describe.each(engines)('every node is replaced: %s', (kind, overrides) => {
  it('one at a time, the writer last, and the cluster serves throughout', async () => {
    const { world, children, run } = prepare(overrides);
    const writer = world.ledger().writer ?? '';
    let least = 3;
    world.onCall = () => {
      least = Math.min(least, world.serving().length);
    };
    const ended = await run();
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(versions(world)).toEqual(['2', '2', '2']);
    expect(least).toBe(2);
    const order = children.started.map(({ input }) => `${input.mode} ${input.node ?? ''}`);
    const [first, second] = [world.node(1).id, world.node(2).id].sort();
    const last = kind === 'postgres' ? [`switchover ${writer}`, `roll ${writer}`] : [`roll ${writer}`];
    expect(order).toEqual([`roll ${first ?? ''}`, `roll ${second ?? ''}`, ...last]);
    expect(world.ledger()).toMatchObject({ claim: null, escalation: null });
    expect(world.aws.published.at(-1)?.subject).toContain('orders runs version 2: replaced');
  });

  it('a Lambda killed before or after any of its own calls: all the same, each child once', async () => {
    const whole = prepare(overrides);
    await whole.run();
    const total = whole.world.calls;
    for (let call = 1; call <= total; call += 7) {
      const { world, children, run } = prepare(overrides);
      world.killAt({ call, moment: call % 2 === 0 ? 'before' : 'after' });
      const ended = await run();
      expect(ended.status, `${call}: ${JSON.stringify(ended.errors)}`).toBe('SUCCEEDED');
      expect(versions(world), String(call)).toEqual(['2', '2', '2']);
      const names = children.started.map((c) => c.name);
      expect(new Set(names).size, String(call)).toBe(names.length);
    }
  }, 120_000);

  it('stops at the first node that fails; started again it goes on with what is left', async () => {
    const { world, children, run } = prepare(overrides);
    let broken = true;
    children.instead = () => (broken && children.started.length === 2 ? 'FAILED' : null);
    const first = await run();
    expect(first.status).toBe('FAILED');
    expect(first.errors.at(-1)?.message).toMatch(/^the roll of i-\w+ ended FAILED \(arn:/);
    expect(children.started).toHaveLength(2);
    expect(world.aws.published.at(-1)?.subject).toContain('rolling gave up: RollingStopped');
    expect(world.aws.published.at(-1)?.body).toContain('docs/runbook.md#rollingstopped');
    // What is not a recovery keeps no recovery from being tried.
    expect(world.ledger().escalation).toBeNull();
    broken = false;
    const again = await run({ cluster: 'orders', reason: 'ada: again' }, `${EXECUTION}-again`);
    expect(again.status, JSON.stringify(again.errors)).toBe('SUCCEEDED');
    expect(versions(world)).toEqual(['2', '2', '2']);
    expect(world.launched()).toHaveLength(3);
  });

  it('stops when a child ended well and the node is still there', async () => {
    const { children, run } = prepare(overrides);
    children.instead = () => 'SUCCEEDED';
    const ended = await run();
    expect(ended.status).toBe('FAILED');
    expect(ended.errors.at(-1)?.message).toContain('has ended, and it is still there');
    expect(children.started).toHaveLength(1);
  });

  it('waits for a child as long as it takes, and looks at most once a minute', async () => {
    const { world, children, run } = prepare(overrides);
    children.instead = () => (children.started.length === 1 ? 'RUNNING' : 'FAILED');
    const startedMs = world.aws.clock.nowMs();
    let looks = 0;
    const state = children.state.bind(children);
    children.state = (arn) => {
      looks += 1;
      return world.aws.clock.nowMs() - startedMs > 6 * 3_600_000 ? Promise.resolve('FAILED') : state(arn);
    };
    const ended = await run();
    expect(ended.status).toBe('FAILED');
    expect(looks).toBeLessThan(430);
  });
});

describe('a rolling replacement is refused, and nothing is started', () => {
  const refusals: readonly [string, (night: Night) => object | undefined, RegExp][] = [
    [
      'while a node is in maintenance',
      ({ world }) => void world.setLedger({ maintenance: { node: world.node(1).id, by: 'ada', sinceMs: 1 } }),
      /is in maintenance by ada/,
    ],
    [
      'rule 7: while the brake is engaged',
      ({ world }) => void (world.aws.brake = { engaged: true, reason: 'many', sinceMs: 1 }),
      /the fleet brake is engaged \(many\)/,
    ],
    [
      'rule 5: while another workflow is at work',
      ({ world }) =>
        void world.setLedger({
          claim: {
            execution: 'arn:other',
            incident: 'x',
            mode: 'replace',
            node: 'i-1',
            joiner: null,
            donor: null,
            launch: null,
            claimedAtMs: 1,
          },
        }),
      /arn:other is at work/,
    ],
    [
      'while an incident is open',
      ({ world }) =>
        void world.setLedger({
          incident: { id: 'orders-1', openedAtMs: 1, node: null, diagnosis: 'DISK_NEARLY_FULL' },
        }),
      /incident orders-1 is open/,
    ],
    [
      'rule 6: while a node does not serve',
      ({ world }) => world.dies(world.node(1).id) as undefined,
      /2 of 3 instances serve/,
    ],
    [
      'under OBSERVE',
      ({ world }) => void world.aws.specs.set('orders', JSON.stringify({ ...world.spec, policy: 'OBSERVE' })),
      /the policy is OBSERVE/,
    ],
    [
      'when the template means another version than the person said',
      () => ({ cluster: 'orders', version: 7 }),
      /version 7 was asked for, and \$Default of lt-0123456789abcdef0 means 2 now/,
    ],
  ];
  it.each(refusals)('%s', async (_, arrange, expected) => {
    const night = prepare();
    const input = arrange(night);
    const ended = await night.run(input ?? { cluster: 'orders' });
    expect(ended.status).toBe('FAILED');
    expect(ended.errors.at(-1)?.name).toBe('RollingStopped');
    expect(ended.errors.at(-1)?.message).toMatch(expected);
    expect(night.children.started).toEqual([]);
  });

  it('while the primary waits for fewer acknowledgements than declared', async () => {
    const night = prepare({ engine: POSTGRES });
    night.world.setLedger({ sync: { sets: [{ need: 0, standbys: [] }], barrierLsn: null } });
    const ended = await night.run();
    expect(ended.errors.at(-1)?.message).toContain(
      '1 acknowledgements are declared, the primary waits for 0 of nobody',
    );
    expect(night.children.started).toEqual([]);
  });
});

it('begins no second node while the first one’s incident is open', async () => {
  const { world, children, run } = prepare();
  world.onCall = (call) => {
    if (call.operation !== 'Ledger.releaseClaim') return;
    world.setLedger({ incident: { id: 'orders-2', openedAtMs: 1, node: null, diagnosis: 'NODE_CRASHED' } });
  };
  const ended = await run();
  expect(ended.status).toBe('FAILED');
  expect(children.started).toHaveLength(1);
  expect(ended.errors.at(-1)?.message).toContain('is not whole after 900 s: incident orders-2 is open');
});

it('with nothing to do says so', async () => {
  const { world, children, run } = prepare();
  world.aws.templates.set(world.spec.launchTemplate.id, { default: 1, latest: 2 });
  const ended = await run();
  expect(ended.status).toBe('SUCCEEDED');
  expect(children.started).toEqual([]);
  expect(world.aws.published[0]?.subject).toContain('every node of orders runs version 1 already');
});

it('names of children fit into 80 characters, and differ by rolling replacement', () => {
  const node = 'i-0123456789abcdef0';
  const name = childName('a'.repeat(30), { mode: 'switchover', node }, 'arn:1');
  expect(name.length).toBeLessThanOrEqual(80);
  expect(name).not.toBe(childName('a'.repeat(30), { mode: 'switchover', node }, 'arn:2'));
});
