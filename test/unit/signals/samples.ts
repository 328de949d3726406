import { readFileSync } from 'node:fs';

export interface Sample {
  [key: string]: unknown;
  id: string;
  detail: Record<string, unknown>;
}

/** A recorded event, as AWS documents it. */
export const sample = (name: string): Sample =>
  JSON.parse(readFileSync(new URL(`./samples/${name}.json`, import.meta.url), 'utf8')) as Sample;
