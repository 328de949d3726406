import { describe, expect, it } from 'vitest';
import {
  EventType,
  readGtidEvent,
  readGtidList,
  rotatesTo,
  standsInFile,
} from '../../../lambdas/engines/galera/binlog/events.ts';
import { commandPacket, MessageReader } from '../../../lambdas/engines/galera/binlog/messages.ts';
import { LogUnavailable } from '../../../lambdas/engines/galera/binlog/errors.ts';
import { EventReader } from '../../../lambdas/engines/galera/binlog/reader.ts';
import { shipperServerId } from '../../../lambdas/engines/galera/binlog/server-id.ts';
import { formatGtid, formatGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { partsOf, recorded } from '../../support/galera/binlog.ts';

/** Packets of at most `most` bytes (a full one goes on in the next), with running numbers from 1. */
function packets(payload: Buffer, most: number): Buffer {
  const out: Buffer[] = [];
  for (let at = 0, n = 1; ; n++) {
    const bytes = payload.subarray(at, at + most);
    const head = Buffer.alloc(4);
    head.writeUIntLE(bytes.length, 0, 3);
    head.writeUInt8(n % 256, 3);
    out.push(head, bytes);
    at += bytes.length;
    if (bytes.length < most) return Buffer.concat(out);
  }
}

describe('messages', () => {
  it.each([0, 1, 0xff_fffe, 0xff_ffff, 0xff_ffff + 1, 2 * 0xff_ffff, 2 * 0xff_ffff + 5])(
    'of %i bytes are put together from packets of up to 16 MB',
    (bytes) => {
      const payload = Buffer.alloc(bytes, 7);
      const found: number[] = [];
      let length = 0;
      const reader = new MessageReader();
      const stream = packets(payload, 0xff_ffff);
      for (let at = 0; at < stream.length; at += 65_521) {
        reader.push(stream.subarray(at, at + 65_521), (part, last) => {
          length += part.length;
          if (last) found.push(length);
        });
      }
      expect(found).toEqual([bytes]);
    },
  );

  it('are refused when a packet is missing', () => {
    const second = packets(Buffer.from('ab'), 1).subarray(5);
    expect(() => new MessageReader().push(second, () => undefined)).toThrow(/number 2 where 1 is next/);
  });

  it('that are commands begin a new count', () => {
    expect(commandPacket(0x12, Buffer.from([1, 2])).toString('hex')).toBe('03000000120102');
  });
});

describe('events, as MariaDB 10.11 sent them', () => {
  it.each([[[1]], [[3, 5, 1000]], [[65_536]]])('are the same whatever the chunks (%j)', (sizes) => {
    const parts = partsOf(recorded('whole.dump'), sizes);
    expect(parts.every((part) => part.last && part.header?.bytes === part.bytes.length)).toBe(true);
    expect(parts.map((p) => p.bytes.toString('hex'))).toEqual(
      partsOf(recorded('whole.dump')).map((p) => p.bytes.toString('hex')),
    );
  });

  it('name files, positions and transactions, with checksums and without', () => {
    const said = partsOf(recorded('whole.dump')).flatMap(({ header, bytes }) => {
      if (header?.type === EventType.ROTATE) return [`${standsInFile(header) ? 'to' : 'in'} ${rotatesTo(bytes)}`];
      if (header?.type === EventType.GTID_LIST) return [formatGtidPosition(readGtidList(bytes)) || 'nothing'];
      if (header?.type !== EventType.GTID) return [];
      const { gtid, standalone } = readGtidEvent(bytes);
      return [formatGtid(gtid) + (standalone ? '!' : '')];
    });
    expect(said.join(' ')).toBe(
      'in binlog.000001 nothing 0-1-1! 0-1-2! 0-1-3! 0-1-4! 0-1-5 0-1-6 0-1-7 0-1-8! 0-1-9 0-1-10! 0-1-11! 0-1-12 0-1-13 ' +
        '0-1-14! 0-1-15 0-1-16! 7-1-1 0-1-17 0-1-18 to binlog.000002 in binlog.000002 0-1-18,7-1-1 to binlog.000003 ' +
        'in binlog.000003 0-1-18,7-1-1 0-1-19 0-1-20! 0-1-21 to binlog.000004 in binlog.000004 0-1-21,7-1-1 0-1-22 0-1-23!',
    );
  });

  it('are told apart from those that stand in no file', () => {
    const artificial = partsOf(recorded('from-the-middle.dump')).filter((p) => p.header && !standsInFile(p.header));
    expect(artificial.map((p) => p.header?.type)).toEqual([
      EventType.ROTATE,
      EventType.GTID_LIST,
      EventType.GTID_LIST,
      EventType.ROTATE,
      EventType.ROTATE,
      EventType.ROTATE,
    ]);
    const beats = partsOf(recorded('heartbeats.dump')).filter((p) => p.header?.type === EventType.HEARTBEAT);
    expect(beats.length).toBeGreaterThanOrEqual(2);
    expect(beats.every((p) => p.header !== null && !standsInFile(p.header))).toBe(true);
  });

  it('end where the log ends, when the dump does not wait', () => {
    const reader = new EventReader();
    const answer = recorded('whole.dump');
    reader.push(answer.subarray(0, -1));
    expect(reader.ended).toBe(false);
    expect(reader.push(answer.subarray(-1))).toEqual([]);
    expect(reader.ended).toBe(true);
  });

  it('that are large come part by part, the header with the first', () => {
    const event = Buffer.alloc(3_000_000, 1);
    event.writeUInt32LE(event.length, 9);
    const parts = partsOf(packets(Buffer.concat([Buffer.of(0), event]), 0xff_ffff), [100_000]);
    expect(parts.length).toBeGreaterThan(10);
    expect(parts.map((p) => p.header?.bytes ?? null).filter((b) => b !== null)).toEqual([event.length]);
    expect(parts.findIndex((p) => p.last)).toBe(parts.length - 1);
    expect(Buffer.concat(parts.map((p) => p.bytes)).equals(event)).toBe(true);
    expect(Math.max(...parts.map((p) => p.bytes.length))).toBeLessThan(1_200_000);
  });

  it('are not to be had from a position that the server does not know: an error of its own kind, in its words', () => {
    const attempt = (): unknown => partsOf(recorded('refused.dump'));
    expect(attempt).toThrow(LogUnavailable);
    expect(attempt).toThrow(/requested to start from GTID 0-1-99, which is not in the master's binlog/);
  });

  it('are not taken for what they are not', () => {
    expect(() => partsOf(packets(Buffer.from('\0short'), 0xff_ffff))).toThrow(/expected a binlog event/);
    const denied = Buffer.concat([Buffer.from([0xff, 0x15, 0x04]), Buffer.from('#28000Access denied')]);
    expect(() => partsOf(packets(denied, 0xff_ffff))).toThrow(/refuses the dump of its binlog: 1045 Access denied/);
  });
});

describe("the shipper's number among the replicas", () => {
  it('is the same for a cluster always, another for another, and beyond what people use', () => {
    const ids = Array.from({ length: 500 }, (_, n) => shipperServerId(`cluster-${n}`));
    expect(ids).toEqual(Array.from({ length: 500 }, (_, n) => shipperServerId(`cluster-${n}`)));
    expect(new Set(ids).size).toBe(500);
    expect(ids.every((id) => Number.isInteger(id) && id >= 2 ** 31 && id < 2 ** 32)).toBe(true);
    expect(shipperServerId('orders')).toBe(3825110113);
  });
});
