/** The few messages that are read without pg. https://www.postgresql.org/docs/15/protocol-message-formats.html */
import { StatementRefused } from './connection.ts';

/** DataRow: its columns, as text. */
export function firstRow(body: Buffer): readonly (string | null)[] {
  const columns: (string | null)[] = [];
  let at = 2;
  for (let left = body.readInt16BE(0); left > 0; left -= 1) {
    const bytes = body.readInt32BE(at);
    at += 4;
    columns.push(bytes < 0 ? null : body.toString('utf8', at, at + bytes));
    at += Math.max(0, bytes);
  }
  return columns;
}

/** ErrorResponse: fields, each a letter and a text. */
export function failureOf(body: Buffer): StatementRefused {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .filter((field) => field !== '')
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );
  const sqlState = fields.get('C') ?? '';
  return new StatementRefused(`refuses to stream: ${sqlState} ${fields.get('M') ?? 'no reason given'}`, sqlState);
}
