// Adds up vitest's JSON and pytest's JUnit results and prints "N passed, N failed" as the last line. A step that
// failed without a failed test of its own (lint, an environment, a suite that left no results) counts as one failure.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const dir = process.argv[2];
const strict = process.argv[3] !== 'lenient';
let passed = 0;
let failed = 0;
const skipped = [];

/** The steps that leave test results, by the file that they leave. */
const suites = {
  'node.json': 'tests',
  'interop.xml': 'interop tests',
  'node24.json': 'unit and integration tests on Node 24',
};
const counted = new Set();

for (const [file, step] of Object.entries(suites)) {
  const path = join(dir, file);
  if (!existsSync(path)) {
    console.log(`no results: ${step}`);
    failed++;
    counted.add(step);
    continue;
  }
  const before = failed;
  if (file.endsWith('.json')) addVitest(JSON.parse(readFileSync(path, 'utf8')));
  else addJunit(readFileSync(path, 'utf8'));
  if (failed > before) counted.add(step);
}

const stepsPath = join(dir, 'failed-steps');
const failedSteps = existsSync(stepsPath) ? readFileSync(stepsPath, 'utf8').trim().split('\n') : [];
for (const step of failedSteps) {
  console.log(`failed: ${step}`);
  if (!counted.has(step)) failed++;
}
for (const name of skipped) console.log(`skipped: ${name}`);
// A skip can hide a gap: here everything that a test may ask for is installed, so none may skip.
if (strict) failed += skipped.length;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

function addVitest(report) {
  for (const file of report.testResults) {
    // A file that could not be loaded has no assertions.
    if (file.status === 'failed' && file.assertionResults.length === 0) failed++;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed++;
      else if (test.status === 'failed') failed++;
      else skipped.push(test.fullName);
    }
  }
}

function addJunit(xml) {
  const cases = xml.match(/<testcase\b[^>]*?(?:\/>|>[\s\S]*?<\/testcase>)/g) ?? [];
  for (const one of cases) {
    if (/<(failure|error)\b/.test(one)) failed++;
    else if (/<skipped\b/.test(one)) skipped.push(/name="([^"]*)"/.exec(one)?.[1] ?? 'a test');
    else passed++;
  }
}
