/** Runs the contestants of one part in turn, round after round (ABAB), so that a noisy machine is noisy for all. */
import { loadavg } from 'node:os';
import { cpuSecondsOf, type Runner } from './measure.ts';
import type { Contestant, Failure, Part, Prepared, Round, Usage } from './kinds.ts';

export interface Race {
  readonly part: Part;
  readonly rounds: number;
  readonly logBytes: number;
  readonly contestants: readonly Contestant[];
  /** Servers whose CPU is looked at beside: a name, and the process that is the server (with the children it waited for). */
  readonly servers: Readonly<Record<string, () => Promise<number>>>;
  readonly withinSeconds: number;
}

export type Outcome = { readonly round: Round } | { readonly failure: Failure };

export const processCpu =
  (pid: number): (() => Promise<number>) =>
  () =>
    cpuSecondsOf(pid);

/** One contestant's failure is its own: the others, and its later rounds, are run all the same. */
export async function* race(what: Race, runner: Runner, say: (line: string) => void): AsyncGenerator<Outcome> {
  for (let round = 1; round <= what.rounds; round += 1) {
    for (const contestant of inTurn(what.contestants, round)) {
      const names = { part: what.part, contestant: contestant.name, round };
      try {
        const outcome = { ...names, ...(await once(what, contestant, round, runner)) };
        say(`${what.part} ${round}/${what.rounds} ${contestant.name}: ${told(outcome)}`);
        yield { round: outcome };
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        say(`${what.part} ${round}/${what.rounds} ${contestant.name} FAILED: ${why}`);
        yield { failure: { ...names, why } };
      }
    }
  }
}

/** Each round begins with the next one: who comes first after a pause is not always the same. */
export const inTurn = <T>(all: readonly T[], round: number): readonly T[] => {
  const first = all.length === 0 ? 0 : (round - 1) % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
};

type Measured = Omit<Round, 'part' | 'contestant' | 'round'>;

async function once(what: Race, contestant: Contestant, round: number, runner: Runner): Promise<Measured> {
  const prepared: Prepared = await contestant.prepare(round);
  try {
    const loadBefore = Math.round((loadavg()[0] ?? 0) * 10) / 10;
    const before = await cpuOf(what.servers);
    const steps: Record<string, Usage> = {};
    for (const step of prepared.steps) steps[step.name] = await runner.run(step, what.withinSeconds);
    const after = await cpuOf(what.servers);
    const serverCpuSeconds = Object.fromEntries(
      Object.entries(after).map(([name, seconds]) => [name, Math.round((seconds - (before[name] ?? 0)) * 100) / 100]),
    );
    const { kept, phaseSeconds = secondsOf(steps) } = await prepared.check();
    return { logBytes: what.logBytes, steps, kept, phaseSeconds, serverCpuSeconds, loadBefore };
  } finally {
    await prepared.clear();
  }
}

const secondsOf = (steps: Readonly<Record<string, Usage>>): Record<string, number> =>
  Object.fromEntries(Object.entries(steps).map(([name, { seconds }]) => [name, Math.round(seconds * 1000) / 1000]));

async function cpuOf(servers: Race['servers']): Promise<Record<string, number>> {
  const entries = Object.entries(servers).map(async ([name, read]) => [name, await read()] as const);
  return Object.fromEntries(await Promise.all(entries));
}

const told = ({ steps, kept, loadBefore }: Measured): string => {
  const each = Object.entries(steps).map(
    ([name, { seconds, userSeconds, systemSeconds, peakRssBytes }]) =>
      `${name} ${seconds.toFixed(2)} s, ${(userSeconds + systemSeconds).toFixed(2)} CPU s, ${Math.round(peakRssBytes / 1e6)} MB`,
  );
  const stored = kept === null ? '' : `; stored ${(kept.bytes / 1e6).toFixed(1)} MB in ${kept.objects}`;
  return `${each.join('; ')}${stored} (load ${loadBefore})`;
};
