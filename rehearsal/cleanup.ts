/** Ends what was started, last first, whatever happens: also on Ctrl-C, and also when one of the endings fails. */
export class Cleanup {
  /** The run went wrong: logs and data are wanted. Set before `run`; read by whoever removes files. */
  keepFiles = false;
  private readonly endings: { readonly what: string; readonly end: () => unknown }[] = [];
  private running: Promise<readonly string[]> | null = null;

  add(what: string, end: () => unknown): void {
    this.endings.push({ what, end });
  }

  /** Runs every ending once; answers what went wrong. Later calls wait for the first. */
  run(): Promise<readonly string[]> {
    this.running ??= this.endAll();
    return this.running;
  }

  private async endAll(): Promise<readonly string[]> {
    const troubles: string[] = [];
    for (const { what, end } of this.endings.reverse()) {
      try {
        await end();
      } catch (error) {
        troubles.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return troubles;
  }
}
