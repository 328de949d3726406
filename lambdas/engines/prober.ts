/** One prober for every engine. */
import type { Prober } from '../cloud/ports.ts';
import type { EngineKind } from '../model/spec.ts';
import { galeraProber } from './galera/prober.ts';
import { postgresProber } from './postgres/prober.ts';
import type { ProberOptions } from './probing.ts';

/** A prober that speaks to each target as its engine does (`target.engine`; Galera unless said). */
export function databaseProber(options: ProberOptions = {}): Prober {
  const probers: Readonly<Record<EngineKind, Prober>> = {
    galera: galeraProber(options),
    postgres: postgresProber(options),
  };
  return {
    probe: (target, credentials) => probers[target.engine ?? 'galera'].probe(target, credentials),
    close: async () => {
      await Promise.all(Object.values(probers).map((prober) => prober.close()));
    },
  };
}
