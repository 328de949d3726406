/** cdk-nag findings that are meant, each with its reason. Nothing is acknowledged for a whole stack. */
import { Validations } from 'aws-cdk-lib';
import type { ControlPlane } from './control-plane.ts';

export function acknowledgeFindings(_plane: ControlPlane): void {
  void Validations;
}
