import * as z from 'zod/mini';
import { instanceId, kindOf } from '../signal.ts';

/**
 * Maintenance, retirement and the like. Entities of EC2 events are instances, but a volume or a host can be among them.
 * https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html
 */
export const healthScheduledChange = kindOf(
  { source: 'aws.health', detailTypes: ['AWS Health Event'] },
  z.object({
    service: z.string(),
    eventTypeCode: z.string(),
    eventTypeCategory: z.string(),
    affectedEntities: z._default(z.array(z.object({ entityValue: z.string() })), []),
  }),
  (d) => {
    const entities = d.service === 'EC2' ? d.affectedEntities.map((e) => lastPart(e.entityValue)) : [];
    return {
      about: 'instances',
      instanceIds: entities.filter((e) => instanceId.safeParse(e).success),
      summary: `AWS Health: ${d.eventTypeCode} (${d.eventTypeCategory})`,
    };
  },
);

/** Entities come as ids or as ARNs that end in the id. */
const lastPart = (entity: string): string => entity.slice(entity.lastIndexOf('/') + 1);
