/** One Lambda invocation (or execution): what it may still do, and what it has seen of the ledger. */
export class Actor {
  readonly name: string;
  /** The execution that it acts for, when it is a workflow's step. */
  readonly execution: string | null;
  /** Difference between its clock and the world's. */
  readonly skewMs: number;
  /** Chance that the answer of a call comes seconds late, beside the weather's. */
  slow = 0;
  dead = false;
  /** The ledger's epoch as this invocation last saw or wrote it. */
  epoch: number | null = null;
  /** Called once, when it dies. */
  onDeath: (error: Error) => void = () => undefined;

  constructor(name: string, execution: string | null = null, skewMs = 0) {
    this.name = name;
    this.execution = execution;
    this.skewMs = skewMs;
  }

  die(errorName: string, why: string): void {
    if (this.dead) return;
    this.dead = true;
    this.onDeath(Object.assign(new Error(why), { name: errorName }));
  }
}

/** What a dead process answers: each time a promise of its own, since one that all wait for would keep all of their worlds. */
export const never = (): Promise<never> => new Promise(() => undefined);
