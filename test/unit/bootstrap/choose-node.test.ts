/** Safety rule 4: who starts the new primary component, as a table. */
import { describe, expect, it } from 'vitest';
import { NO_UUID, chooseNode } from '../../../lambdas/bootstrap/choose-node.ts';
import type { Situation } from '../../../lambdas/bootstrap/choose-node.ts';
import { parsePosition } from '../../../lambdas/bootstrap/state.ts';
import type { Position } from '../../../lambdas/bootstrap/state.ts';

const UUID = '6a7c1b1e-1f64-11f0-9c3a-000000000001';
const OTHER = '6a7c1b1e-1f64-11f0-9c3a-000000000002';

const at = (node: string, seqno: number, change: Partial<Position> = {}): Position => ({
  node,
  seqno,
  stateUuid: UUID,
  safeToBootstrap: false,
  viewId: null,
  component: 'none',
  ...change,
});

const situation = (positions: readonly Position[], change: Partial<Situation> = {}): Situation => ({
  nodes: ['a', 'b', 'c'],
  positions,
  giveUp: [],
  primary: [],
  writer: null,
  ...change,
});

describe('rule 4: chooseNode', () => {
  it.each([
    ['the highest seqno', situation([at('a', 5), at('b', 9), at('c', 7)]), 'b', 'a c'],
    [
      'the highest seqno before safe_to_bootstrap',
      situation([at('a', 5, { safeToBootstrap: true }), at('b', 9), at('c', 7)]),
      'b',
      'a c',
    ],
    [
      'the newest view among equals',
      situation([at('a', 9, { viewId: `3 ${UUID} 4` }), at('b', 9, { viewId: `3 ${UUID} 12` }), at('c', 1)]),
      'b',
      'a c',
    ],
    [
      'safe_to_bootstrap among equals',
      situation([at('a', 9), at('b', 9), at('c', 9, { safeToBootstrap: true })]),
      'c',
      'a b',
    ],
    ['the writer among equals', situation([at('a', 9), at('b', 9), at('c', 9)], { writer: 'b' }), 'b', 'a c'],
    ['the lowest id among equals', situation([at('c', 9), at('b', 9), at('a', 9)]), 'a', 'b c'],
    [
      'never one that was in no cluster, which joins later',
      situation([at('a', -1, { stateUuid: NO_UUID }), at('b', 2), at('c', 1)]),
      'b',
      'a c',
    ],
    ['without a node given up, which is not joined', situation([at('a', 3), at('b', 2)], { giveUp: ['c'] }), 'a', 'b'],
    [
      'not a node given up, however far it is',
      situation([at('a', 3), at('b', 2), at('c', 99)], { giveUp: ['c'] }),
      'a',
      'b',
    ],
    [
      'one history once the other is given up',
      situation([at('a', 3), at('b', 2), at('c', 9, { stateUuid: OTHER })], { giveUp: ['c'] }),
      'a',
      'b',
    ],
  ])('takes %s', (_, s, node, remaining) => {
    expect(chooseNode(s)).toMatchObject({ kind: 'chosen', position: { node }, remaining: remaining.split(' ') });
  });

  it.each([
    [
      'while a node is in a primary component',
      situation([at('a', 1), at('b', 1), at('c', 1)], { primary: ['b'] }),
      'PrimaryComponentExists',
      'b',
    ],
    ['when a node did not answer', situation([at('a', 1), at('b', 1)]), 'NodeDidNotAnswer', '"giveUp": ["c"]'],
    [
      'when a node knows its history and not its position',
      situation([at('a', 1), at('b', 1), at('c', -1)]),
      'NodeDidNotAnswer',
      'c',
    ],
    [
      'when histories differ',
      situation([at('a', 1), at('b', 99, { stateUuid: OTHER }), at('c', 1)]),
      'PositionsDisagree',
      `b: ${OTHER}:99`,
    ],
    [
      'when there never was a cluster',
      situation(['a', 'b', 'c'].map((n) => at(n, -1, { stateUuid: NO_UUID }))),
      'BootstrapFailed',
      'nothing to bootstrap',
    ],
  ])('refuses %s', (_, s, error, words) => {
    const choice = chooseNode(s);
    expect(choice).toMatchObject({ kind: 'refused', error });
    expect(choice.why).toContain(words);
  });
});

describe('parsePosition', () => {
  it('reads the last line', () => {
    const line = `{"running":false,"component":"none","stateUuid":"${UUID}","seqno":7,"safeToBootstrap":true,"viewId":null,"source":"disk"}`;
    expect(parsePosition('a', `noise\n${line}\n`)).toEqual(at('a', 7, { safeToBootstrap: true }));
  });
  it.each(['', 'no json', '{"seqno":1}'])('refuses %j, naming it', (output) => {
    expect(() => parsePosition('a', output)).toThrow(JSON.stringify(output));
  });
});
