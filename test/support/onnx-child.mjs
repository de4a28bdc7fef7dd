// Session child of the parity tests alone: one model, one thread, onnxruntime and nothing else.
import { InferenceSession, Tensor } from 'onnxruntime-node';

const session = await InferenceSession.create(process.argv[2], { intraOpNumThreads: 1, interOpNumThreads: 1 });
process.on('message', async ({ id, inputs }) => {
  try {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { type, dims, data }]) => [name, new Tensor(type, data, dims)]),
    );
    const outputs = await session.run(feeds);
    const answer = Object.entries(outputs).map(([name, { type, dims, data }]) => [name, { type, dims, data }]);
    process.send({ id, outputs: Object.fromEntries(answer) });
  } catch (error) {
    process.send({ id, error: String(error) });
  }
});
const info = (entry) => ({ name: entry.name, type: entry.type, dims: entry.shape });
process.send({ inputs: session.inputMetadata.map(info), outputs: session.outputMetadata.map(info) });
