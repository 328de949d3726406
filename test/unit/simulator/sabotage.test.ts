/** The simulator is tested by what it catches: each plausible bug, put into the plane from outside, breaks its rule. */
import { describe, expect, it } from 'vitest';
import { EVERY_SABOTAGE, onTrial, tableOf } from '../../../simulator/trial.ts';

describe('a sabotaged plane is caught', () => {
  it.each(EVERY_SABOTAGE)('$name ($engine)', { timeout: 180_000 }, async (sabotage) => {
    const verdict = await onTrial(sabotage);
    expect(
      verdict.caught,
      `none of ${verdict.nights} nights broke one of the rules ${sabotage.breaks.join(', ')}`,
    ).not.toBeNull();
  });

  it('and a plane that is not spoilt is not', { timeout: 60_000 }, async () => {
    const verdict = await onTrial({ name: 'nothing', breaks: ['1', '2', '3', 'launch'], spoil: () => undefined }, 4);
    expect(verdict).toEqual({ name: 'nothing', engine: 'galera', caught: null, nights: 2 });
    expect(tableOf([verdict])).toContain('NOT CAUGHT');
  });
});
