// The layers of the project as an allow-list (docs/architecture.md): what a folder may import, everything else is an error.
const everyone = ['^src/(api|config|errors|logger|compiled-url|durable-files|version|tracing)([./]|$)'];
const allow = {
  api: [],
  imaging: [],
  tracing: ['tracing'],
  server: ['api', 'model-cache', 'pipeline-host', 'async-jobs', 'server'],
  'async-jobs': ['async-jobs'],
  archive: ['archive'],
  'model-cache': ['archive', 'sessions', 'imaging', 'model-cache'],
  sessions: ['imaging', 'sessions'],
  'pipeline-host': ['pipeline-host', 'handlers', 'sessions', 'connectors', 'compute', 'imaging'],
  handlers: ['handlers', 'pipeline', 'monai', 'sessions', 'connectors', 'archive', 'compute', 'formats', 'imaging'],
  pipeline: ['pipeline', 'monai', 'formats', 'imaging', 'compute', 'connectors'],
  monai: ['monai', 'imaging', 'compute'],
  compute: ['compute', 'imaging'],
  formats: ['formats', 'imaging', 'compute'],
  connectors: ['connectors', 'formats', 'imaging', 'compute'],
  'local-store': ['local-store', 'formats', 'imaging', 'compute'],
  cli: ['cli', 'server', 'local-store', 'connectors', 'archive', 'sessions', 'monai', 'formats', 'imaging', 'compute'],
};
const layerRules = Object.entries(allow).map(([folder, targets]) => ({
  name: `layer-${folder}`,
  severity: 'error',
  comment: `src/${folder} may import: ${targets.join(', ') || 'nothing but the shared leaves'}`,
  from: { path: `^src/${folder}/` },
  to: {
    path: '^src/',
    pathNot: [
      ...everyone,
      ...[folder, ...targets].map((target) => `^src/${target}/`),
      ...(folder === 'cli' ? ['^src/main[.]ts$'] : []),
    ],
  },
}));

module.exports = {
  forbidden: [
    ...layerRules,
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'pipeline-sees-ports',
      severity: 'error',
      comment: 'operators get image sources and sinks by their ports; main and the pipeline entry wire the drivers',
      from: { path: '^src/pipeline/' },
      to: { path: '^src/connectors/[^/]+/' },
    },
    {
      name: 'onnxruntime-in-the-session-child-only',
      severity: 'error',
      from: { pathNot: '^src/sessions/child-entry[.]ts$', path: '^src/' },
      to: { path: 'node_modules/onnxruntime' },
    },
    {
      name: 'front-never-reaches-onnxruntime',
      severity: 'error',
      from: { path: '^src/(main[.]ts|server/|model-cache/)' },
      to: { path: 'node_modules/onnxruntime', reachable: true },
    },
    {
      name: 'express-in-server-and-store-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(server|local-store)/' },
      to: { path: 'node_modules/express/' },
    },
    {
      name: 'aws-sdk-in-connectors-only',
      severity: 'error',
      comment: 'the CLI speaks to an endpoint as any client does',
      from: { path: '^src/', pathNot: '^src/(connectors|cli)/' },
      to: { path: 'node_modules/@aws-sdk/' },
    },
    {
      name: 'opentelemetry-in-one-lazy-place',
      severity: 'error',
      comment: 'off without an exporter: nothing of it is loaded then',
      from: { path: '^src/', pathNot: '^src/tracing/otlp-tracer[.]ts$' },
      to: { path: 'node_modules/@opentelemetry/' },
    },
    {
      name: 'src-never-imports-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|deploy|viewer)/' },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      comment: 'what is compiled need not be there yet',
      from: {},
      to: { couldNotResolve: true, pathNot: '(^|/)dist/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
