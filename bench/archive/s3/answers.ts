/** What S3 says, in its XML, and what it is asked, from a request's line. Pure. */
import type { Listing, Stored } from './store.ts';

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);

const unescape = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|apos|#34|#39);/g, (entity) => {
    const known: Record<string, string> = {
      ...{ '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'", '&#34;': '"', '&#39;': "'" },
    };
    return known[entity] ?? entity;
  });

const document = (root: string, inner: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</${root}>`;

const tag = (name: string, text: string | number | boolean): string => `<${name}>${escape(String(text))}</${name}>`;

/** S3's statuses of the refusals that this server knows. */
export const REFUSALS = {
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  PreconditionFailed: 412,
  InvalidPart: 400,
  InvalidRange: 416,
  MissingContentLength: 411,
  NotImplemented: 501,
  InternalError: 500,
} as const;
export type RefusalCode = keyof typeof REFUSALS;

export const errorXml = (code: RefusalCode, message: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${tag('Code', code)}${tag('Message', message)}</Error>`;

export interface ListRequest {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string;
}

/** A continuation token is the last key of the page before, in hexadecimal so that nobody reads it. */
export const tokenOf = (key: string): string => Buffer.from(key).toString('hex');
export const keyOfToken = (token: string): string => Buffer.from(token, 'hex').toString();

const objectXml = (key: string, { atMs, etag, bytes }: Stored): string =>
  `<Contents>${tag('Key', key)}${tag('LastModified', new Date(atMs).toISOString())}${tag('ETag', etag)}${tag('Size', bytes)}${tag('StorageClass', 'STANDARD')}</Contents>`;

export const listXml = ({ bucket, prefix, delimiter }: ListRequest, page: Listing): string =>
  document(
    'ListBucketResult',
    [
      tag('Name', bucket),
      tag('Prefix', prefix),
      delimiter === '' ? '' : tag('Delimiter', delimiter),
      tag('KeyCount', page.objects.length + page.prefixes.length),
      tag('IsTruncated', page.next !== null),
      page.next === null ? '' : tag('NextContinuationToken', tokenOf(page.next)),
      ...page.objects.map(({ key, object }) => objectXml(key, object)),
      ...page.prefixes.map((folder) => `<CommonPrefixes>${tag('Prefix', folder)}</CommonPrefixes>`),
    ].join(''),
  );

export const initiatedXml = (bucket: string, key: string, id: string): string =>
  document('InitiateMultipartUploadResult', tag('Bucket', bucket) + tag('Key', key) + tag('UploadId', id));

export const completedXml = (bucket: string, key: string, { etag }: Stored): string =>
  document('CompleteMultipartUploadResult', tag('Bucket', bucket) + tag('Key', key) + tag('ETag', etag));

export const partsXml = (id: string, parts: readonly (readonly [number, Stored])[]): string => {
  const one = ([number, { etag, bytes }]: readonly [number, Stored]): string =>
    `<Part>${tag('PartNumber', number)}${tag('ETag', etag)}${tag('Size', bytes)}</Part>`;
  return document('ListPartsResult', tag('UploadId', id) + tag('IsTruncated', false) + parts.map(one).join(''));
};

export const deletedXml = (): string => document('DeleteResult', '');

const inner = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map((match) => unescape(match[1] ?? ''));

/** The parts of a CompleteMultipartUpload, whatever the order of their elements. */
export const partsIn = (xml: string): { readonly number: number; readonly etag: string }[] =>
  [...xml.matchAll(/<Part>[^]*?<\/Part>/g)].map(([part]) => {
    const etag = inner(part, 'ETag')[0] ?? '';
    return { number: Number(inner(part, 'PartNumber')[0]), etag: etag.startsWith('"') ? etag : `"${etag}"` };
  });

export const keysIn = (xml: string): string[] => inner(xml, 'Key');

export interface Target {
  readonly bucket: string;
  /** Empty: the bucket itself. */
  readonly key: string;
  readonly query: URLSearchParams;
}

/** `/bucket/key?query`: this server knows addresses by path only. */
export function targetOf(url: string): Target {
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/.exec(path) ?? [];
  return {
    ...{ bucket: decodeURIComponent(bucket), key: decodeURIComponent(key) },
    // In S3's requests a plus is a plus.
    query: new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1).replaceAll('+', '%2B')),
  };
}

/** First and last byte that a Range header names; null when it names none that there are. */
export function rangeOf(header: string, bytes: number): { readonly from: number; readonly to: number } | null {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === '' && last === '') return null;
  const from = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  return from <= to ? { from, to } : null;
}
