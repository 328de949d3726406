/**
 * Runs one function's bundle in a process of its own, as Lambda's Node runtime does: imports it once, then answers one
 * invocation at a time over the IPC channel. Ends with its parent.
 */
import { performance } from 'node:perf_hooks';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const startedMs = performance.now();
let running = null;

process.once('disconnect', () => process.exit(0));

/** As Lambda reports a thrown value. */
function describe(error) {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}

function send(message, then = () => undefined) {
  process.send(message, undefined, {}, then);
}

process.on('unhandledRejection', (reason) => {
  const requestId = running;
  const { errorMessage, trace } = describe(reason);
  console.error(reason);
  const error = { errorType: 'Runtime.UnhandledPromiseRejection', errorMessage, trace };
  send({ type: 'failed', requestId, error }, () => process.exit(128));
});

function contextOf(message) {
  const name = process.env.AWS_LAMBDA_FUNCTION_NAME;
  return {
    functionName: name,
    functionVersion: '$LATEST',
    invokedFunctionArn: message.functionArn,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    awsRequestId: message.requestId,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, message.deadlineMs - Date.now()),
  };
}

async function load() {
  const [file, exported] = process.env._HANDLER.split('.');
  const root = process.env.LAMBDA_TASK_ROOT;
  const errors = [];
  for (const extension of ['mjs', 'js', 'cjs']) {
    try {
      const loaded = await import(pathToFileURL(join(root, `${file}.${extension}`)).href);
      const handler = loaded[exported] ?? loaded.default?.[exported];
      if (typeof handler === 'function') return handler;
      throw Object.assign(new Error(`${file}.${extension} exports no function ${exported}`), {
        name: 'Runtime.HandlerNotFound',
      });
    } catch (error) {
      const missing = error?.code === 'ERR_MODULE_NOT_FOUND' && String(error.message).includes(`${file}.${extension}`);
      if (!missing) throw error;
      errors.push(error);
    }
  }
  throw Object.assign(new Error(`no ${file}.mjs, .js or .cjs in ${root}`), {
    name: 'Runtime.ImportModuleError',
    cause: errors,
  });
}

try {
  const handler = await load();
  process.on('message', async (message) => {
    running = message.requestId;
    try {
      const result = await handler(message.event, contextOf(message));
      send({ type: 'done', requestId: message.requestId, payload: JSON.stringify(result ?? null) });
    } catch (error) {
      console.error(error);
      send({ type: 'failed', requestId: message.requestId, error: describe(error) });
    } finally {
      running = null;
    }
  });
  send({ type: 'ready', initMs: performance.now() - startedMs });
} catch (error) {
  console.error(error);
  send({ type: 'init-failed', error: describe(error) }, () => process.exit(1));
}
