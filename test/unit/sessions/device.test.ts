import { describe, expect, it } from 'vitest';
import { CpuDevice, NvidiaDevice, type NvidiaSmi } from '../../../src/sessions/device.ts';
import { describeDevice, FakeDevice } from '../../support/device-contract.ts';

const gpu: NvidiaSmi = async (args) => {
  expect(args).toContain('--id=1');
  return args.some((arg) => arg.endsWith('memory.total')) ? '24576\n' : '512\n';
};

describeDevice('FakeDevice', async () => new FakeDevice(1000));
describeDevice('CpuDevice', async () => new CpuDevice(2 ** 33, () => 123));
describeDevice('NvidiaDevice', async () => await NvidiaDevice.open(1, undefined, gpu));

describe('NvidiaDevice', () => {
  it('leaves a tenth of the GPU to its driver', async () => {
    const device = await NvidiaDevice.open(1, undefined, gpu);
    expect(device.id).toBe('cuda:1');
    expect(device.budgetBytes).toBe(Math.floor(24_576 * 1024 ** 2 * 0.9));
    expect(await device.usedBytes()).toBe(512 * 1024 ** 2);
  });

  it('tells when nvidia-smi is missing or makes no sense', async () => {
    const missing: NvidiaSmi = async () => Promise.reject(new Error('ENOENT /usr/bin/nvidia-smi'));
    await expect(NvidiaDevice.open(0, undefined, missing)).rejects.toMatchObject({
      code: 'internal',
      message: expect.not.stringContaining('/usr'),
    });
    await expect(NvidiaDevice.open(0, undefined, async () => '[N/A]')).rejects.toMatchObject({ code: 'internal' });
  });
});
