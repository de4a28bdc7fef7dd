import { EndpointError } from '../errors.ts';
import type { ModelFacts } from '../handlers/contract.ts';
import type { FromPipeline, PipelineJob, PipelineSettings, ToPipeline } from './protocol.ts';
import type { RemoteSlots } from './remote-slots.ts';

type MessageOf<Type extends ToPipeline['type']> = Extract<ToPipeline, { type: Type }>;

/** What a kind of pipeline process does with the messages that every kind gets. */
export interface ProcessWork<Own> {
  readonly send: (message: FromPipeline) => void;
  readonly slots: RemoteSlots;
  configure(settings: PipelineSettings): void;
  /** Initializes a model's handler. Throws whatever `errorOf` understands. */
  prepare(message: MessageOf<'prepare'>): Promise<ModelFacts>;
  /** What a failed {@link prepare} is to the caller. */
  prepareErrorOf(thrown: unknown, message: MessageOf<'prepare'>): EndpointError;
  run(job: PipelineJob): Promise<void>;
  cancel(jobId: number, index: number | undefined, reason: EndpointError): void;
  /** A message that only this kind gets. */
  receive(message: Own): void;
}

/** Serves the front until it is gone. */
export function serveFront<Own>(work: ProcessWork<Own>): void {
  const prepare = async (message: MessageOf<'prepare'>): Promise<void> => {
    const { id } = message;
    try {
      work.send({ type: 'prepared', id, model: await work.prepare(message) });
    } catch (thrown) {
      work.send({ type: 'unprepared', id, error: work.prepareErrorOf(thrown, message).toJSON() });
    }
  };
  process.on('message', (received) => {
    const message = received as ToPipeline;
    switch (message.type) {
      case 'configure':
        work.configure(message.settings);
        work.send({ type: 'ready' });
        break;
      case 'prepare':
        void prepare(message);
        break;
      case 'job':
        void work.run(message.job);
        break;
      case 'cancel':
        work.cancel(message.jobId, message.index, EndpointError.fromBody(message.error));
        break;
      case 'granted':
        work.slots.granted(message.id, message.grant);
        break;
      case 'refused':
        work.slots.refused(message.id, message.error);
        break;
      default:
        work.receive(message as Own);
    }
  });
  // The front is gone: nobody can take an answer any more.
  process.on('disconnect', () => process.exit(0));
}
