import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Plain } from '../../../lambdas/cloud/attribute-values.ts';
import { fromAttribute, fromItem, namesIn, toAttribute, toItem } from '../../../lambdas/cloud/attribute-values.ts';
import { subjectLine } from '../../../lambdas/cloud/aws-notifications.ts';
import { deduplicationId } from '../../../lambdas/cloud/aws-requests.ts';
import { executionArn } from '../../../lambdas/cloud/aws-workflows.ts';
import { environment } from '../../../lambdas/cloud/environment.ts';
import { everyPage, inBatches } from '../../../lambdas/cloud/pages.ts';
import { specFromParameter } from '../../../lambdas/cloud/spec-parameter.ts';
import { aSpec } from '../../fakes/index.ts';

describe('DynamoDB values', () => {
  const { value } = fc.letrec<{ value: Plain }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value')),
      fc.dictionary(fc.string({ minLength: 1 }), tie('value')),
    ),
  }));

  it('come back as they were', () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(JSON.stringify(fromAttribute(toAttribute(v)))).toBe(JSON.stringify(v));
      }),
    );
  });

  it('leave out what is absent', () => {
    expect(fromItem(toItem({ a: 1, b: undefined }))).toEqual({ a: 1 });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuse the number %d', (n) => {
    expect(() => toAttribute(n)).toThrow(`cannot store the number ${n}`);
  });

  it('refuse a type that the ledger never writes', () => {
    expect(() => fromAttribute({ SS: ['a'] })).toThrow('["SS"]');
  });

  it('every #name of the expressions is declared, once', () => {
    expect(namesIn('SET #a = :a, #b.#c = :a', undefined, '#a = :a')).toEqual({ '#a': 'a', '#b': 'b', '#c': 'c' });
  });
});

describe('pages and batches', () => {
  it('reads on until there is no token, and takes an empty token as the end', async () => {
    const tokens: (string | undefined)[] = [];
    const pages = ['b', 'c', ''];
    const all = await everyPage(async (token) => {
      tokens.push(token);
      return { items: [tokens.length], next: pages[tokens.length - 1] };
    });
    expect(all).toEqual([1, 2, 3]);
    expect(tokens).toEqual([undefined, 'b', 'c']);
  });

  it('gives up on a listing that never ends', async () => {
    await expect(everyPage(async () => ({ items: ['x'], next: 'same' }))).rejects.toThrow(
      /did not end after 1000 pages/,
    );
  });

  it('batches lose nothing and keep the order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 12 }), (items, size) => {
        const batches = inBatches(items, size);
        expect(batches.flat()).toEqual(items);
        for (const b of batches) expect(b.length).toBeGreaterThan(0);
        for (const b of batches) expect(b.length).toBeLessThanOrEqual(size);
      }),
    );
  });
});

describe('names that AWS accepts', () => {
  it('a subject is printable ASCII on one line, shorter than 100 characters, and never empty', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (subject) => {
        expect(subjectLine(subject)).toMatch(/^[\x20-\x7e]{1,99}$/);
      }),
    );
    expect(subjectLine('orders:\nnode ✓ replaced')).toBe('orders: node   replaced');
  });

  it('a deduplication id is within SQS’s alphabet and length, and differs by cluster and cause', () => {
    const ids = [
      ['a', 'b'],
      ['b', 'a'],
      ['a', 'c'],
      ['a', 'x'.repeat(5000)],
    ].map(([c, e]) => deduplicationId(c ?? '', e ?? ''));
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(['', 'arn:aws:lambda:eu-west-1:1:function:x', 'arn:aws:states:eu-west-1:1:execution:x:y'])(
    '%j is no state machine',
    (arn) => {
      expect(() => executionArn(arn, 'x')).toThrow(`${JSON.stringify(arn)} is not a state machine`);
    },
  );
});

describe('environment', () => {
  it('names every variable that is missing or empty', () => {
    process.env['REJOIN_TEST_EMPTY'] = '';
    process.env['REJOIN_TEST_SET'] = 'x';
    expect(environment('REJOIN_TEST_SET')).toEqual({ REJOIN_TEST_SET: 'x' });
    expect(() => environment('REJOIN_TEST_SET', 'REJOIN_TEST_EMPTY', 'REJOIN_TEST_NONE')).toThrow(
      /not set: REJOIN_TEST_EMPTY, REJOIN_TEST_NONE/,
    );
  });
});

describe('a specification’s parameter', () => {
  it('whatever it holds is answered, never thrown', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const result = specFromParameter('orders', text);
        expect(result.ok || result.problems.length > 0).toBe(true);
      }),
    );
  });

  it('is checked again when its text has changed, and once for each cluster while it has not', () => {
    const text = JSON.stringify(aSpec({ name: 'orders' }));
    const first = specFromParameter('orders', text);
    expect(first).toMatchObject({ ok: true, spec: { name: 'orders', nodes: 3 } });
    expect(specFromParameter('billing', text).ok).toBe(false);
    expect(specFromParameter('orders', text)).toBe(first);
    const changed = specFromParameter('orders', JSON.stringify(aSpec({ name: 'orders', nodes: 5 })));
    expect(changed).toMatchObject({ ok: true, spec: { nodes: 5 } });
    expect(specFromParameter('orders', 'no JSON').ok).toBe(false);
    expect(specFromParameter('orders', text)).toMatchObject({ ok: true, spec: { nodes: 3 } });
  });

  it('names the mend when it is of another cluster', () => {
    const result = specFromParameter('orders', JSON.stringify(aSpec({ name: 'billing' })));
    expect(result).toMatchObject({ ok: false, problems: [{ path: 'name', received: '"billing"' }] });
  });
});
