import type { SNSClient } from '@aws-sdk/client-sns';
import { PublishCommand } from '@aws-sdk/client-sns';
import type { Lazy } from './clients.ts';
import { aws } from './errors.ts';
import type { Notifications } from './ports.ts';

/** SNS: printable ASCII, no line breaks, fewer than 100 characters; for e-mail it is the subject line. */
const SUBJECT_CHARACTERS = 99;

/** Messages to people through an SNS topic. The whole subject leads the body, since SNS may take only a part of it. */
export function awsNotifications(sns: Lazy<SNSClient>, topicArn: string): Notifications {
  return {
    async publish(subject, body) {
      await aws('sns:Publish', () =>
        sns().send(
          new PublishCommand({ TopicArn: topicArn, Subject: subjectLine(subject), Message: `${subject}\n\n${body}` }),
        ),
      );
    },
  };
}

/** The subject as SNS accepts it. */
export function subjectLine(subject: string): string {
  const plain = subject.replace(/[^\x20-\x7e]+/g, ' ').trim() || 'Rejoin';
  return plain.length <= SUBJECT_CHARACTERS ? plain : `${plain.slice(0, SUBJECT_CHARACTERS - 3)}...`;
}
