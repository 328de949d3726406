/** Names that more than one construct relies on. */

/** One a state machine, each with a function that does its steps. */
export const WORKFLOW_NAMES = ['replace', 'bootstrap', 'failover', 'switchover', 'rolling'] as const;

export type WorkflowName = (typeof WORKFLOW_NAMES)[number];

/** State machines of the archive. They heal nothing and hold no claim of the cluster. `drill` has its steps in the function of `restore`. */
export const ARCHIVE_WORKFLOW_NAMES = ['backup', 'restore', 'drill'] as const;

export type ArchiveWorkflowName = (typeof ARCHIVE_WORKFLOW_NAMES)[number];

/** What ships the log of an engine's clusters; each cluster's rule addresses it by name. */
export const SHIPPER_NAMES = { postgres: 'ship-postgres', galera: 'ship-galera' } as const;

const SHIPPERS = Object.values(SHIPPER_NAMES);

export type ShipperName = (typeof SHIPPERS)[number];

/** One a folder in `lambdas/` that has a handler. */
export const FUNCTION_NAMES = [
  ...(['signals', 'reconcile', 'watch', 'operate'] as const),
  ...WORKFLOW_NAMES,
  ...SHIPPERS,
  ...(['archive', 'backup', 'restore'] as const),
] as const;

export type FunctionName = (typeof FUNCTION_NAMES)[number];

/** In front of every name of a plane. */
export const DEFAULT_PREFIX = 'rejoin';

/** Where alarms send the reader. */
export const DEFAULT_RUNBOOK = 'docs/runbook.md';
