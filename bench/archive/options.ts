/** What `npm run bench -- archive` was asked for; wrong input is refused before anything is started. */
import { PARTS, type Part } from './kinds.ts';

export interface ArchiveOptions {
  readonly rounds: number;
  /** Rounds of restoring: each is a whole database. */
  readonly restoreRounds: number;
  readonly sizeBytes: number;
  readonly parts: readonly Part[];
  readonly reportFile: string | null;
}

/** As commander gives them. */
export interface RawArchiveOptions {
  readonly rounds: string;
  readonly restoreRounds: string;
  readonly sizeMb: string;
  readonly only?: string;
  readonly report?: string;
}

function wholeNumber(option: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high)
    throw new Error(`${option} is ${JSON.stringify(text)}; give a whole number from ${low} to ${high}`);
  return value;
}

function partOf(text: string): Part {
  const part = PARTS.find((name) => name === text);
  if (part === undefined)
    throw new Error(`--only names ${JSON.stringify(text)}; give some of ${PARTS.join(', ')}, with commas`);
  return part;
}

/** @throws Error that names the option, what it was given and what it takes. */
export function archiveOptions(raw: RawArchiveOptions): ArchiveOptions {
  const asked = raw.only === undefined ? PARTS : raw.only.split(',').map(partOf);
  return {
    rounds: wholeNumber('--rounds', raw.rounds, 1, 1000),
    restoreRounds: wholeNumber('--restore-rounds', raw.restoreRounds, 1, 1000),
    // The S3 server's RAM disk holds a contestant's whole archive, and the database's disk all of the log.
    sizeBytes: wholeNumber('--size-mb', raw.sizeMb, 64, 8192) * 1e6,
    parts: PARTS.filter((part) => asked.includes(part)),
    reportFile: raw.report ?? null,
  };
}
