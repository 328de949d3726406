import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 100;

/**
 * Polls until the condition holds. Throws after `withinSeconds`, naming what was waited for and, when given, what was
 * there instead.
 */
export async function waitFor(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinSeconds: number,
  instead: () => string = () => '',
): Promise<void> {
  const deadlineMs = Date.now() + withinSeconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) {
      const last = instead();
      throw new Error(
        `waited ${withinSeconds} s for ${what}, in vain${last === '' ? '' : `; what is there:\n${last}`}`,
      );
    }
    await sleep(LOOK_EVERY_MS);
  }
}
