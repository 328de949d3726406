/** `npm run bench -- archive-kills`: the shipper killed many times, and nothing lost. */
import { writeFile } from 'node:fs/promises';
import { galeraKills } from './galera-kills.ts';
import { postgresKills } from './kills.ts';

export interface ArchiveKillsOptions {
  readonly kills: number;
  readonly engine: 'galera' | 'postgres';
  readonly reportFile: string | null;
}

/** @throws Error naming the option, its value and what is accepted. */
export function archiveKillsOptions(raw: { kills: string; engine: string; report?: string }): ArchiveKillsOptions {
  const kills = Number(raw.kills);
  if (!Number.isInteger(kills) || kills < 1)
    throw new Error(`--kills is ${JSON.stringify(raw.kills)}; give a whole number of at least 1`);
  if (raw.engine !== 'galera' && raw.engine !== 'postgres')
    throw new Error(`--engine is ${JSON.stringify(raw.engine)}; give galera or postgres`);
  return { kills, engine: raw.engine, reportFile: raw.report ?? null };
}

/** True when everything held. */
export async function archiveKills({ kills, engine, reportFile }: ArchiveKillsOptions): Promise<boolean> {
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const report = await (engine === 'galera'
    ? galeraKills({ kills, address: '127.87.1.2', progress })
    : postgresKills({ kills, address: '127.87.1.1', progress }));
  console.log(JSON.stringify(report, null, 2));
  if (reportFile !== null) await writeFile(reportFile, `${JSON.stringify(report, null, 2)}\n`);
  return report.faults.length === 0;
}
