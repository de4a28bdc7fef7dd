import type { ExecutionProvider } from '../config.ts';
import type { Logger } from '../logger.ts';
import type { ChildSupply } from './child-supply.ts';
import { NvidiaDevice } from './device.ts';
import { CpuSeating, GpuSeating, type Seating } from './seats.ts';

export interface ChosenSeating {
  readonly seating: Seating;
  /** What is degraded: a provider that was asked for and is not there. */
  readonly warnings: readonly string[];
}

/**
 * Finds out with the spare child whether the providers work on this machine, and with it how networks are seated.
 *
 * @throws EndpointError `internal` when a provider does not work and `cpu` is not among the others; `worker_crashed` when
 *   no child can be started
 */
export async function chooseSeating(
  supply: ChildSupply,
  providers: readonly ExecutionProvider[],
  logger: Logger,
): Promise<ChosenSeating> {
  await supply.spare?.started;
  const gpu = providers.find((provider) => provider !== 'cpu');
  if (gpu === undefined) return { seating: new CpuSeating(supply), warnings: [] };
  const device = { providers, deviceId: 0 };
  try {
    await supply.spare?.probe(device);
  } catch (thrown) {
    if (!providers.includes('cpu')) throw thrown;
    logger.warn({ provider: gpu }, 'the execution provider is not available: falling back to the CPU');
    const warning = `The execution provider "${gpu}" is not available here; networks run on the CPU.`;
    return { seating: new CpuSeating(supply), warnings: [warning] };
  }
  const nvidia = gpu === 'cuda' ? await NvidiaDevice.open(device.deviceId) : undefined;
  const usedBytes = async (): Promise<number> => (await nvidia?.usedBytes()) ?? 0;
  return { seating: new GpuSeating(supply, device, usedBytes), warnings: [] };
}
