// One idle process of one thread: runs the windows that it is told to, one after another, and says how long each run took.
import { createInterface } from 'node:readline';
import ort from 'onnxruntime-node';

const session = await ort.InferenceSession.create(process.argv[2], {
  executionProviders: ['cpu'],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
});
const [name] = session.inputNames;

for await (const line of createInterface({ input: process.stdin })) {
  const { windows, size } = JSON.parse(line);
  // The content is of no matter to the time; it is not constant, so that nothing can be folded away.
  const data = Float32Array.from({ length: size ** 3 }, (_, n) => ((n * 2654435761) % 1000) / 1000);
  let sum = 0;
  for (let n = 0; n < windows; n++) {
    data[n] = n / windows;
    const output = await session.run({ [name]: new ort.Tensor('float32', data, [1, 1, size, size, size]) });
    sum += Object.values(output)[0].data[n];
  }
  process.stdout.write(`${JSON.stringify({ sum })}\n`);
}
