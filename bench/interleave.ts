/** One side of a comparison: gives the milliseconds that its work took. */
export interface Contender {
  readonly name: string;
  run(): Promise<number>;
}

/**
 * Runs the contenders in turn, `rounds` times, so that what else the machine does falls on all of them alike. The first
 * round warms up and is not counted. The order turns round with each round.
 */
export async function interleave(contenders: readonly Contender[], rounds: number): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? contenders : [...contenders].reverse();
    for (const contender of order) {
      const ms = await contender.run();
      process.stderr.write(`  ${round === 0 ? 'warm-up' : `round ${round}`}: ${contender.name} ${ms.toFixed(0)} ms\n`);
      if (round > 0) times.get(contender.name)?.push(ms);
    }
  }
  return times;
}
