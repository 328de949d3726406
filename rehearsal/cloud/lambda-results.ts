/** What comes of an invocation. */
import type { FunctionError } from './lambda-container.ts';

/** Who asked for an invocation. */
export type InvocationSource = 'api' | 'engine' | 'mapping' | 'schedule';

export type InvocationResult =
  | { readonly kind: 'done'; readonly payload: string }
  /** The function threw, timed out or died: `x-amz-function-error: Unhandled`. */
  | { readonly kind: 'failed'; readonly error: FunctionError }
  | { readonly kind: 'throttled'; readonly reason: string }
  | { readonly kind: 'missing' };
