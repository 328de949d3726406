/** Every kind of event that Rejoin understands, found by (source, detail-type, version). */
import { alarmStateChange } from './kinds/alarm-state-change.ts';
import { autoscalingTerminate } from './kinds/autoscaling-terminate.ts';
import { ec2StateChange } from './kinds/ec2-state-change.ts';
import { executionStatusChange } from './kinds/execution-status-change.ts';
import { healthScheduledChange } from './kinds/health-scheduled-change.ts';
import { rebalanceRecommendation } from './kinds/rebalance-recommendation.ts';
import { reconcileDue } from './kinds/reconcile-due.ts';
import { spotInterruption } from './kinds/spot-interruption.ts';
import type { Envelope, Kind } from './signal.ts';

export const KINDS: readonly Kind[] = [
  ec2StateChange,
  spotInterruption,
  rebalanceRecommendation,
  healthScheduledChange,
  autoscalingTerminate,
  alarmStateChange,
  executionStatusChange,
  reconcileDue,
];

const name = (source: string, detailType: string, version: string): string =>
  JSON.stringify([source, detailType, version]);

const BY_NAME: ReadonlyMap<string, Kind> = new Map(
  KINDS.flatMap((kind) => kind.detailTypes.map((type) => [name(kind.source, type, kind.version), kind] as const)),
);

export const kindFor = (event: Envelope): Kind | undefined =>
  BY_NAME.get(name(event.source, event['detail-type'], event.version));
