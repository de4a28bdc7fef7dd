/** Writes bundles that are served by their tensors alone: `add_sub` (INT32 [1, 16]) and `identity_<type>` ([N, 8]). */
import { join } from 'node:path';
import { datatypeOf } from '../../src/api/oip.ts';
import type { TensorType } from '../../src/imaging/tensor.ts';
import { writeTree } from '../support/archives.ts';
import { addSubNetwork, identityNetwork, tensorBundle } from '../support/tensor-bundles.ts';

const dir = process.argv[2] as string;
writeTree(join(dir, 'add_sub'), tensorBundle(addSubNetwork('int32', [1, 16])));
for (const type of Object.keys(datatypeOf) as TensorType[]) {
  writeTree(join(dir, `identity_${type}`), tensorBundle(identityNetwork(type, ['N', 8])));
}
