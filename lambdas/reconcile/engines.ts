/** Which engine decides for a cluster. */
import type { ClusterView } from '../model/view.ts';
import type { Engine } from './engine.ts';
import { galera } from './galera/engine.ts';
import { postgres } from './postgres/engine.ts';

export function engineOf(view: Pick<ClusterView, 'spec'>): Engine {
  switch (view.spec.engine.kind) {
    case 'galera':
      return galera;
    case 'postgres':
      return postgres;
  }
}
