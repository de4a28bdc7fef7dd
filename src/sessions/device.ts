import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { EndpointError } from '../errors.ts';

/** Port: where networks live, with a budget for their memory. All implementations pass one contract suite. */
export interface Device {
  /** `cpu`, `cuda:0`. */
  readonly id: string;
  /** Most bytes that our networks may take of it. */
  readonly budgetBytes: number;
  /** Bytes of it in use now, as measured, by whomever it counts against the budget. */
  usedBytes(): Promise<number>;
}

/** The host's memory: the budget is a setting, what counts is the memory of the processes that hold networks. */
export class CpuDevice implements Device {
  readonly id = 'cpu';
  readonly budgetBytes: number;
  readonly #usedBytes: () => number;

  /** @param usedBytes - measured memory of all processes that hold networks */
  constructor(budgetBytes: number, usedBytes: () => number) {
    this.budgetBytes = budgetBytes;
    this.#usedBytes = usedBytes;
  }

  async usedBytes(): Promise<number> {
    return this.#usedBytes();
  }
}

/** Runs `nvidia-smi` with arguments and gives its output. */
export type NvidiaSmi = (args: readonly string[]) => Promise<string>;

const runNvidiaSmi: NvidiaSmi = async (args) => {
  const { stdout } = await promisify(execFile)('nvidia-smi', [...args], { timeout: 10_000 });
  return stdout;
};

/** Part of a GPU's memory that is left to its driver, to contexts and to fragmentation. */
const gpuReserve = 0.1;

/** An NVIDIA GPU, as `nvidia-smi` sees it: memory that other programs use counts against the budget. */
export class NvidiaDevice implements Device {
  readonly id: string;
  readonly budgetBytes: number;
  readonly #index: number;
  readonly #nvidiaSmi: NvidiaSmi;

  private constructor(index: number, budgetBytes: number, nvidiaSmi: NvidiaSmi) {
    this.id = `cuda:${index}`;
    this.#index = index;
    this.budgetBytes = budgetBytes;
    this.#nvidiaSmi = nvidiaSmi;
  }

  /**
   * @param budgetBytes - default: nine tenths of the GPU's memory
   * @throws EndpointError `internal` when there is no such GPU or no `nvidia-smi`
   */
  static async open(index: number, budgetBytes?: number, nvidiaSmi = runNvidiaSmi): Promise<NvidiaDevice> {
    const totalBytes = await queryBytes(nvidiaSmi, index, 'memory.total');
    return new NvidiaDevice(index, budgetBytes ?? Math.floor(totalBytes * (1 - gpuReserve)), nvidiaSmi);
  }

  usedBytes(): Promise<number> {
    return queryBytes(this.#nvidiaSmi, this.#index, 'memory.used');
  }
}

async function queryBytes(nvidiaSmi: NvidiaSmi, index: number, field: string): Promise<number> {
  let output: string;
  try {
    output = await nvidiaSmi([`--id=${index}`, `--query-gpu=${field}`, '--format=csv,noheader,nounits']);
  } catch (cause) {
    throw new EndpointError('internal', `GPU ${index} cannot be asked for its memory by nvidia-smi.`, { cause });
  }
  const mebibytes = Number(output.trim());
  if (!/^\d+$/.test(output.trim())) throw new EndpointError('internal', `nvidia-smi gave no ${field} of GPU ${index}.`);
  return mebibytes * 1024 ** 2;
}
