import { createHash } from 'node:crypto';
import { describeArchiveSource } from '../../support/archive-source-contract.ts';
import { FakeSource } from '../../support/fake-models.ts';

// The tests of the cache stand on this one, so it has to behave as the real ones do.
describeArchiveSource('FakeSource', async () => {
  const source = new FakeSource();
  return {
    source,
    put: async (target, bytes) => source.put(target, createHash('sha256').update(bytes).digest('hex'), bytes),
    remove: async (target) => void source.stored.delete(target),
  };
});
