/** Nights on several threads, told in the order of their seeds: the same nights, whoever plays them. */
import { Worker } from 'node:worker_threads';
import { simulate } from './simulate.ts';
import type { Night, NightOptions } from './simulate.ts';

export interface Wanted {
  readonly first: number;
  readonly count: number;
  /** How many threads; with 1, this one. */
  readonly workers: number;
  readonly options: Omit<NightOptions, 'sabotage'>;
}

/** A generator that is left early ends the threads. Throws what a night threw, with its seed. */
export async function* nightsOf({ first, count, workers, options }: Wanted): AsyncGenerator<Night> {
  const end = first + count;
  if (workers <= 1 || count <= 1) {
    for (let seed = first; seed < end; seed += 1) yield await simulate(seed, options);
    return;
  }
  const crew = new Crew(first, end, options, Math.min(workers, count));
  try {
    for (let seed = first; seed < end; seed += 1) yield await crew.night(seed);
  } finally {
    await crew.dismiss();
  }
}

/** What a member answers: a night, or what it threw. */
export type Answer =
  { readonly seed: number; readonly night: Night } | { readonly seed: number; readonly threw: string };

/** What a night leaves behind dies young if V8 gives it the room; with its default of 16 MB a twelfth of the time went into collecting. */
const YOUNG_MB = 192;

class Crew {
  readonly #members: readonly Worker[];
  readonly #played = new Map<number, Night>();
  readonly #end: number;
  #next: number;
  #failure: Error | null = null;
  #wake: () => void = () => undefined;

  constructor(first: number, end: number, options: NightOptions, members: number) {
    this.#next = first;
    this.#end = end;
    this.#members = Array.from({ length: members }, () => this.#member(options));
  }

  #member(options: NightOptions): Worker {
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MB };
    const member = new Worker(new URL('./crew-member.ts', import.meta.url), { workerData: options, resourceLimits });
    member.on('message', (answer: Answer) => {
      if ('night' in answer) this.#played.set(answer.seed, answer.night);
      else this.#failure ??= new Error(`seed ${answer.seed}: ${answer.threw}`);
      this.#give(member);
      this.#wake();
    });
    member.on('error', (error) => {
      this.#failure ??= error;
      this.#wake();
    });
    this.#give(member);
    return member;
  }

  #give(member: Worker): void {
    if (this.#next >= this.#end || this.#failure !== null) return;
    member.postMessage(this.#next);
    this.#next += 1;
  }

  async night(seed: number): Promise<Night> {
    for (;;) {
      const night = this.#played.get(seed);
      if (night !== undefined) {
        this.#played.delete(seed);
        return night;
      }
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async dismiss(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.terminate()));
  }
}
