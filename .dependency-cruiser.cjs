/** The layering of docs/architecture.md: dependencies point inwards. */
const capability =
  '^lambdas/(signals|reconcile|replace|bootstrap|failover|switchover|rolling|watch|operate|archive|backup|restore|drill)/';
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, dependencyTypesNot: ['type-only'] } },
    {
      name: 'model-imports-nothing',
      comment:
        'The model is types and pure functions; zod/mini is the schema language, not a dependency on the outside.',
      severity: 'error',
      from: { path: '^lambdas/model/' },
      to: { pathNot: '^lambdas/model/|node_modules/zod/' },
    },
    {
      name: 'only-handlers-touch-sdk-adapters',
      severity: 'error',
      from: { path: capability, pathNot: '/handler\\.ts$' },
      to: { path: '^lambdas/cloud/', pathNot: '^lambdas/cloud/ports\\.ts$' },
    },
    {
      name: 'only-cloud-and-engines-import-the-sdk',
      severity: 'error',
      from: { path: '^lambdas/', pathNot: '^lambdas/cloud/' },
      to: { path: 'node_modules/@aws-sdk/' },
    },
    {
      name: 'lambdas-know-no-cdk',
      severity: 'error',
      from: { path: '^lambdas/' },
      to: { path: 'node_modules/(aws-cdk-lib|constructs)/' },
    },
    {
      name: 'lib-imports-only-model-and-types',
      severity: 'error',
      from: { path: '^(lib|bin)/' },
      to: { path: '^lambdas/', pathNot: '^lambdas/model/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'capabilities-are-strangers',
      comment: 'They meet in the model, the ledger and the queues.',
      severity: 'error',
      from: { path: capability, pathNot: '^lambdas/(failover|switchover)/' },
      to: { path: capability, pathNot: '^lambdas/$1/' },
    },
    {
      name: 'failover-makes-instances-as-replace-does',
      comment: 'A surviving volume is revived with the steps that replace has for it.',
      severity: 'error',
      from: { path: '^lambdas/failover/' },
      to: { path: capability, pathNot: '^lambdas/(failover|replace)/' },
    },
    {
      name: 'switchover-promotes-as-failover-does',
      comment: 'There is one way to make a primary (docs/postgres.md).',
      severity: 'error',
      from: { path: '^lambdas/switchover/' },
      to: { path: capability, pathNot: '^lambdas/(failover|switchover)/' },
    },
    {
      name: 'product-knows-no-rehearsal',
      severity: 'error',
      from: { path: '^(lambdas|lib|bin)/' },
      to: { path: '^(rehearsal|bench|test)/' },
    },
    { name: 'nothing-undeclared', severity: 'error', from: {}, to: { dependencyTypes: ['npm-no-pkg', 'unknown'] } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
