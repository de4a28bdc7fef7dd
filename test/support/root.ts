/** True where a test may mount, confine and write where SageMaker does. `.ci/run` runs as root and counts a skip as a failure. */
export const isRoot: boolean = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('note: not root, the tests of SageMaker containers are skipped\n');
