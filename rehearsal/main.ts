/** `npm start`: one scenario on real databases and an emulated AWS. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { EngineKind } from '../lambdas/model/spec.ts';
import { ENGINES, engineFor } from './engines/index.ts';
import { DELAYS, EVENTS, type EventsMode, type RehearsalOptions } from './options.ts';
import { rehearse } from './rehearse.ts';
import { limitsFor, type Scenario } from './scenarios/scenario.ts';
import { isFor, scenarioNamed, scenarios } from './scenarios/index.ts';

const whole =
  (low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high)
      throw new InvalidArgumentError(`Give a whole number from ${low} to ${high}.`);
    return value;
  };

interface Flags {
  scenario: string;
  engine: EngineKind;
  durability: 'quorum' | 'async';
  events: EventsMode;
  kills: boolean;
  report?: string;
  keep: boolean;
  list: boolean;
  eventDelay: number;
  boot: number;
  shutdown: number;
  powerOff: number;
  forceStop: number;
  seed: number;
  dir?: string;
}

const line = (s: Scenario): string =>
  `${s.name.padEnd(22)} ${s.summary}${ENGINES.every((e) => isFor(s, e)) ? '' : ` (${ENGINES.filter((e) => isFor(s, e)).join(', ')})`}`;

const HOUR_MS = 3_600_000;

const program = new Command('npm start --')
  .description(
    'Rehearses a bad night: deploys Rejoin into an emulated AWS on this machine, breaks a real database cluster under load,\nand checks that it heals and that no acknowledged write is lost.',
  )
  .option('--scenario <name>', 'what happens (see --list)', 'terminate-node')
  .addOption(new Option('--engine <name>', 'database engine').choices(ENGINES).default('galera'))
  .addOption(
    new Option('--durability <kind>', 'of PostgreSQL: what a commit waits for')
      .choices(['quorum', 'async'])
      .default('quorum'),
  )
  .addOption(new Option('--events <how>', 'how events reach the plane').choices(EVENTS).default('normal'))
  .option('--kills', 'kill every step of every workflow, reconcile and watch once', false)
  .option('--report <file>', 'write the report as JSON')
  .option('--keep', 'leave everything up at the end, and print how to reach it; Ctrl-C ends it', false)
  .option('--list', 'list the scenarios and exit', false)
  .option(
    '--event-delay <ms>',
    'from a change of an instance to its event in the queue',
    whole(0, HOUR_MS),
    DELAYS.eventMs,
  )
  .option('--boot <ms>', 'from RunInstances to a running host', whole(0, HOUR_MS), DELAYS.bootMs)
  .option('--shutdown <ms>', 'the longest a clean shutdown of a host may take', whole(0, HOUR_MS), DELAYS.shutdownMs)
  .option(
    '--power-off <ms>',
    'from the end of a clean shutdown to EC2 saying terminated',
    whole(0, HOUR_MS),
    DELAYS.powerOffMs,
  )
  .option('--force-stop <ms>', 'from a forced StopInstances to stopped', whole(0, HOUR_MS), DELAYS.forceStopMs)
  .option('--seed <n>', 'for what is random: injected faults', whole(0, 2 ** 31), 1)
  .option('--dir <path>', 'work folder; a new one under the temporary folder unless given')
  .addHelpText(
    'after',
    `\nScenarios:\n${scenarios
      .map(line)
      .map((text) => `  ${text}`)
      .join('\n')}`,
  )
  .parse();

const flags = program.opts<Flags>();
if (flags.list) {
  for (const s of scenarios) console.log(line(s));
  process.exit(0);
}

const options = (): RehearsalOptions => {
  const scenario = scenarioNamed(flags.scenario);
  limitsFor(scenario, flags.engine, true); // throws when it is not for the engine
  return {
    ...common(),
    scenario,
    engine: engineFor(flags.engine, { durability: flags.durability, ...scenario.declares }),
  };
};

const common = (): Omit<RehearsalOptions, 'scenario' | 'engine'> => ({
  events: flags.events,
  kills: flags.kills,
  reportFile: flags.report ?? null,
  keep: flags.keep,
  delays: {
    eventMs: flags.eventDelay,
    bootMs: flags.boot,
    shutdownMs: flags.shutdown,
    powerOffMs: flags.powerOff,
    forceStopMs: flags.forceStop,
  },
  seed: flags.seed,
  dir: flags.dir ?? null,
});

try {
  const ending = await rehearse(options());
  // 130 is what a shell says of a command that Ctrl-C ended.
  process.exit({ passed: 0, failed: 1, interrupted: 130 }[ending]);
} catch (error) {
  console.error(`\nthe rehearsal did not come to its end: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(2);
}
