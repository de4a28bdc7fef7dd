import { describe, expect, it } from 'vitest';
import type { Device } from '../../src/sessions/device.ts';

/** A device whose use a test sets. */
export class FakeDevice implements Device {
  readonly id = 'fake';
  readonly budgetBytes: number;
  used = 0;

  constructor(budgetBytes: number) {
    this.budgetBytes = budgetBytes;
  }

  async usedBytes(): Promise<number> {
    return this.used;
  }
}

/** What every {@link Device} keeps to. */
export function describeDevice(name: string, open: () => Promise<Device>): void {
  describe(`${name} as a Device`, () => {
    it('has a name that can stand in logs and metrics', async () => {
      expect((await open()).id).toMatch(/^[a-z]+(:\d+)?$/);
    });

    it('has a budget and tells what is in use, in whole bytes', async () => {
      const device = await open();
      expect(Number.isSafeInteger(device.budgetBytes) && device.budgetBytes > 0).toBe(true);
      const used = await device.usedBytes();
      expect(Number.isSafeInteger(used) && used >= 0).toBe(true);
    });

    it('can be asked many times at once', async () => {
      const device = await open();
      const answers = await Promise.all(Array.from({ length: 8 }, () => device.usedBytes()));
      expect(new Set(answers).size).toBe(1);
    });
  });
}
