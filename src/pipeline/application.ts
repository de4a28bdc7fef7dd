import { EndpointError, throwIfAborted } from '../errors.ts';
import { type ExecutionContext, type Operator, runOperator } from './operator.ts';

/** An operator of whose ports only the names matter. */
type AnyOperator = Operator<never, object>;

interface Flow {
  readonly source: AnyOperator;
  readonly target: AnyOperator;
  /** Input port of the target → output port of the source. */
  readonly ports: readonly (readonly [string, string])[];
}

/** Output ports of `Outputs` whose values an input of type `Value` takes. */
type PortsOf<Outputs, Value> = { [Port in keyof Outputs]: Outputs[Port] extends Value ? Port : never }[keyof Outputs];

/**
 * A small graph of operators (MONAI Deploy's `Application`): `addFlow` connects output ports to input ports, and `run`
 * computes each operator once, after all that feed it.
 */
export class Application {
  readonly #operators: AnyOperator[] = [];
  readonly #flows: Flow[] = [];

  /** Adds an operator that nothing feeds or that feeds nothing; `addFlow` adds its two by itself. */
  addOperator(operator: AnyOperator): this {
    if (!this.#operators.includes(operator)) this.#operators.push(operator);
    return this;
  }

  /** Feeds inputs of `target` from outputs of `source`; the types of the ports must fit. */
  addFlow<Outputs extends object, Inputs extends object>(
    source: Operator<never, Outputs>,
    target: Operator<Inputs, object>,
    ports: { readonly [Port in keyof Inputs]?: PortsOf<Outputs, Inputs[Port]> },
  ): this {
    this.addOperator(source).addOperator(target);
    this.#flows.push({ source, target, ports: Object.entries(ports) as [string, string][] });
    return this;
  }

  /**
   * Runs the graph.
   *
   * @returns a function that gives the outputs of an operator
   * @throws EndpointError what an operator throws; `internal` for a graph with a cycle
   */
  async run(context: ExecutionContext): Promise<<Outputs extends object>(of: Operator<never, Outputs>) => Outputs> {
    const results = new Map<object, unknown>();
    const waiting = [...this.#operators];
    while (waiting.length > 0) {
      const ready = waiting.findIndex((operator) =>
        this.#flows.every((flow) => flow.target !== operator || results.has(flow.source)),
      );
      if (ready < 0) throw new EndpointError('internal', 'The operators of the application form a cycle.');
      const [operator] = waiting.splice(ready, 1) as [AnyOperator];
      throwIfAborted(context.signal);
      results.set(operator, await runOperator(operator, this.#inputsOf(operator, results) as never, context));
    }
    return <Outputs extends object>(of: Operator<never, Outputs>) => results.get(of) as Outputs;
  }

  #inputsOf(operator: AnyOperator, results: ReadonlyMap<object, unknown>): Record<string, unknown> {
    const inputs: Record<string, unknown> = {};
    for (const { source, target, ports } of this.#flows) {
      if (target !== operator) continue;
      const outputs = results.get(source) as Record<string, unknown>;
      for (const [input, output] of ports) inputs[input] = outputs[output];
    }
    return inputs;
  }
}
