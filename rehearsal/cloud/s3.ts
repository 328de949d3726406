/**
 * What S3 does and moto does not: a body that is not what its checksum says is refused, and ListParts tells the SHA-256 of
 * the parts. Bodies pass as they are.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { AwsRequest, AwsResponse, Interceptor } from './contract.ts';
import { errorAnswer, rewriteBody } from './wire-answers.ts';
import { headerOf } from './wire-headers.ts';

const sha256 = (body: Buffer, encoding: 'hex' | 'base64'): string => createHash('sha256').update(body).digest(encoding);

const crc32Of = (body: Buffer): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64');
};

/** Null when the body is what the request says that it is. A body in chunks has its checksum behind it, and is moto's to read. */
function refusalOf(request: AwsRequest): AwsResponse | null {
  const { headers, body } = request;
  const signed = headerOf(headers, 'x-amz-content-sha256');
  if (signed?.startsWith('STREAMING-')) return null;
  if (signed !== null && /^[0-9a-f]{64}$/.test(signed) && signed !== sha256(body, 'hex')) {
    const message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    return errorAnswer(request, { code: 'XAmzContentSHA256Mismatch', status: 400, message });
  }
  const wrong = (
    [
      ['SHA256', () => sha256(body, 'base64')],
      ['CRC32', () => crc32Of(body)],
    ] as const
  ).find(([name, computed]) => {
    const given = headerOf(headers, `x-amz-checksum-${name.toLowerCase()}`);
    return given !== null && given !== computed();
  });
  if (wrong === undefined) return null;
  const message = `The ${wrong[0]} you specified did not match the calculated checksum.`;
  return errorAnswer(request, { code: 'BadDigest', status: 400, message });
}

const uploadOf = ({ params }: AwsRequest): string =>
  `${String(params['Bucket'])}/${String(params['Key'])}?${String(params['uploadId'])}`;

/** For every bucket of the account. */
export function s3Interceptors(): Interceptor[] {
  /** SHA-256 by part number, of uploads under way. */
  const uploads = new Map<string, Map<string, string>>();
  const ended: Interceptor['after'] = (request, response) => {
    if (response.status < 300) uploads.delete(uploadOf(request));
    return undefined;
  };
  const s3 = (operation: string, rest: Pick<Interceptor, 'before' | 'after'>): Interceptor => ({
    service: 's3',
    operation,
    ...rest,
  });
  return [
    s3('PutObject', { before: (request) => refusalOf(request) ?? undefined }),
    s3('UploadPart', {
      before: (request) => refusalOf(request) ?? undefined,
      after(request, response) {
        const given = headerOf(request.headers, 'x-amz-checksum-sha256');
        if (response.status >= 300 || given === null) return undefined;
        const upload = uploadOf(request);
        uploads.set(
          upload,
          (uploads.get(upload) ?? new Map<string, string>()).set(String(request.params['partNumber']), given),
        );
        return undefined;
      },
    }),
    s3('ListParts', {
      after(request, response) {
        const known = uploads.get(uploadOf(request));
        if (known === undefined || response.status >= 300) return undefined;
        return rewriteBody(response, (xml) =>
          xml.replace(/<PartNumber>(\d+)<\/PartNumber>(?=[\s\S]*?<\/Part>)/g, (whole, number: string) => {
            const sum = known.get(number);
            return sum === undefined ? whole : `${whole}<ChecksumSHA256>${sum}</ChecksumSHA256>`;
          }),
        );
      },
    }),
    s3('CompleteMultipartUpload', { after: ended }),
    s3('AbortMultipartUpload', { after: ended }),
  ];
}
