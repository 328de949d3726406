/** A process that runs the shipper's real loop until it is killed, against a real S3 endpoint. Argument: JSON, `ChildFacts`. */
import type { ChildFacts } from '../killed-shipper.ts';
import { faultyBucket, spokenLog } from '../killed-shipper.ts';
import { shippedCluster } from './shipping.ts';

const facts = JSON.parse(process.argv[2] ?? '') as ChildFacts;
const { servers, rpoSeconds } = facts;
await shippedCluster(servers, { rpoSeconds, bucket: faultyBucket(facts), log: spokenLog }).start().ended;
