/** Lambda's Invoke API, answered in moto's place. */
import { randomUUID } from 'node:crypto';
import type { AwsRequest, AwsResponse, Interceptor } from './contract.ts';
import type { InvocationResult, InvocationSource } from './lambda-results.ts';
import type { Lambdas } from './lambda.ts';
import { ENGINE_KEY_PREFIX } from './moto.ts';
import { errorAnswer } from './wire-answers.ts';

function answer(status: number, payload: string, headers: Record<string, string> = {}): AwsResponse {
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'x-amzn-requestid': randomUUID(),
      'x-amz-executed-version': '$LATEST',
      ...headers,
    },
    body: Buffer.from(payload),
  };
}

function answerResult(request: AwsRequest, name: string, result: InvocationResult): AwsResponse {
  switch (result.kind) {
    case 'done':
      return answer(200, result.payload);
    case 'failed':
      return answer(200, JSON.stringify(result.error), { 'x-amz-function-error': 'Unhandled' });
    case 'throttled':
      return errorAnswer(request, {
        code: 'TooManyRequestsException',
        status: 429,
        message: `Rate Exceeded. (${result.reason})`,
      });
    case 'missing':
      return errorAnswer(request, {
        code: 'ResourceNotFoundException',
        status: 404,
        message: `Function not found: ${name}`,
      });
  }
}

/** Answers `POST /2015-03-31/functions/NAME/invocations`, of types RequestResponse, Event and DryRun. */
export function invokeApi(lambdas: Lambdas): Interceptor {
  return {
    service: 'lambda',
    operation: 'Invoke',
    async before(request) {
      const name = String(request.params['FunctionName']);
      const text = request.body.toString('utf8');
      let event: unknown;
      try {
        event = text.trim() === '' ? {} : JSON.parse(text);
      } catch (error) {
        const message = `Could not parse request body into json: ${(error as Error).message}`;
        return errorAnswer(request, { code: 'InvalidRequestContentException', status: 400, message });
      }
      const source: InvocationSource = request.accessKeyId?.startsWith(ENGINE_KEY_PREFIX) ? 'engine' : 'api';
      switch (request.params['InvocationType']) {
        case 'DryRun':
          return answer(204, '');
        case 'Event':
          lambdas.invokeAsync(name, event, source);
          return answer(202, '');
        default:
          return answerResult(request, name, await lambdas.invoke(name, event, source));
      }
    },
  };
}
