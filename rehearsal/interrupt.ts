/** What is told at the first Ctrl-C. */
export const INTERRUPTED = 'interrupted; ending everything (once more to leave at once)';

/** Resolves at the first Ctrl-C or SIGTERM, after `onFirst`; a second one ends the process at once. */
export function untilSignal(onFirst: () => void): Promise<'interrupted'> {
  return new Promise((done) => {
    let seen = false;
    const onSignal = (): void => {
      // 130 is what a shell says of a command that Ctrl-C ended.
      if (seen) process.exit(130);
      seen = true;
      onFirst();
      done('interrupted');
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
