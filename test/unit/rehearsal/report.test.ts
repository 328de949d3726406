import { describe, expect, it } from 'vitest';
import { account } from '../../../rehearsal/report.ts';

describe('accounting of acknowledged writes', () => {
  it.each([
    {
      title: 'all there on every node',
      ids: [1, 2, 3],
      nodes: [
        [1, 2, 3],
        [3, 2, 1],
      ],
      lost: 0,
      duplicated: 0,
    },
    {
      title: 'an id that one node lacks is lost',
      ids: [1, 2, 3],
      nodes: [
        [1, 2, 3],
        [1, 3],
      ],
      lost: 1,
      duplicated: 0,
    },
    { title: 'the same id lacking on two nodes is one loss', ids: [1, 2], nodes: [[1], [1]], lost: 1, duplicated: 0 },
    { title: 'a row stored twice is a duplicate', ids: [1, 2], nodes: [[1, 2, 2]], lost: 0, duplicated: 1 },
    { title: 'a row that was never acknowledged is neither', ids: [1], nodes: [[1, 2]], lost: 0, duplicated: 0 },
    { title: 'with no node to ask, everything is lost', ids: [1, 2], nodes: [], lost: 2, duplicated: 0 },
  ])('$title', ({ ids, nodes, lost, duplicated }) => {
    expect(account(ids, nodes)).toMatchObject({ lost, duplicated });
  });

  it('names the first ids that were lost', () => {
    expect(account([5, 6, 7], [[6]]).firstLost).toEqual([5, 7]);
  });
});
