/** `npm run soak`: a real cluster, and one fault after another for as long as asked. */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ENGINES } from './engines/index.ts';
import { untilSignal } from './interrupt.ts';
import { DELAYS } from './options.ts';
import { FAULTS } from './soak/faults.ts';
import { positiveMinutes, seedNumber, sharesOf, type SoakFlags } from './soak/options.ts';
import { broken, endingOf, exitCode, type EngineSoak } from './soak/result.ts';
import { soak } from './soak/soak.ts';
import { byKind, print } from './soak/summary.ts';

const flags = new Command('npm run soak --')
  .description(
    'Keeps a real database cluster up in the rehearsal and strikes it with one random fault after another, while a client writes all the time. Every acknowledged write is looked for on every node. Ends with the first fault that does not heal, the first lost write, or when the time is over.',
  )
  .requiredOption('--minutes <n>', 'how long; of both engines, each half of it', positiveMinutes)
  .addOption(new Option('--engine <name>', 'database engine; both, one after another, unless given').choices(ENGINES))
  .option('--seed <n>', 'for the sequence of faults; by the clock unless given', seedNumber)
  .option('--report <file>', 'write the report as JSON')
  .option('--story', 'also show what the emulated AWS and Rejoin do', false)
  .addHelpText(
    'after',
    `\nExit code: 0 nothing was lost or stored twice, every fault was healed and the rehearsal itself worked; 1 otherwise;\n130 after Ctrl-C, when nothing was broken until then.\n\nFaults:\n${FAULTS.map(
      (f) =>
        `  ${f.name.padEnd(22)} ${f.summary}${f.engines.length === ENGINES.length ? '' : ` (${f.engines.join(', ')})`}`,
    ).join('\n')}`,
  )
  .parse()
  .opts<SoakFlags>();

const file = flags.report === undefined ? null : resolve(flags.report);
if (file !== null) {
  await mkdir(dirname(file), { recursive: true });
  await (await open(file, 'a')).close(); // a report that cannot be written is told now, not after hours
}

let seen = false;
const interrupted = untilSignal(() => void (seen = true));
const seed = flags.seed ?? Date.now() % 2 ** 31;
const soaks: EngineSoak[] = [];
for (const { engine, minutes } of sharesOf(flags)) {
  if (seen) break;
  const mayBreakNetwork = process.getuid?.() === 0;
  soaks.push(await soak({ engine, minutes, seed, delays: DELAYS, story: flags.story, mayBreakNetwork }, interrupted));
  if (file !== null) await writeFile(file, `${JSON.stringify(soaks.map(reported), null, 2)}\n`);
}
for (const one of soaks) print(one);
if (file !== null) console.log(`report: ${file}`);
for (const { engine, minutes } of soaks)
  console.log(`again: npm run soak -- --minutes ${minutes} --engine ${engine} --seed ${seed}`);
process.exit(exitCode(soaks.map(endingOf)));

function reported(one: EngineSoak): unknown {
  const { timeline, ...rest } = one;
  return { ending: endingOf(one), broken: broken(one), ...rest, kinds: byKind(one.struck), timeline };
}
