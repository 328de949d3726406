/** A thread of `crew.ts`: plays the nights whose seeds it is sent. A night that broke nothing leaves its story here. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Answer } from './crew.ts';
import { simulate } from './simulate.ts';
import type { NightOptions } from './simulate.ts';

const options = workerData as NightOptions;
/** AWS refuses by the thousand in a night of storms, and nobody reads those traces; these lines are enough to find a mistake of the simulator's own. */
Error.stackTraceLimit = 3;

async function play(seed: number): Promise<Answer> {
  try {
    const night = await simulate(seed, options);
    return { seed, night: night.violations.length > 0 ? night : { ...night, story: [] } };
  } catch (error) {
    return { seed, threw: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on('message', (seed: number) => {
  void play(seed).then((answer) => parentPort?.postMessage(answer));
});
