import { describe, expect, it } from 'vitest';
import { describe as describeFault, loadError, runError } from '../../../src/sessions/onnxruntime-errors.ts';

const path = '/srv/data dir/run/12/3/model/models/model.onnx';

describe('onnxruntime errors', () => {
  it.each([
    [`Load model from ${path} failed:Protobuf parsing failed.`, 'invalid_archive'],
    [
      `Load model from ${path} failed:Fatal error: com.acme:Op(-1) is not a registered function/op`,
      'unsupported_bundle',
    ],
    ['Failed to allocate memory for requested buffer of size 1', 'insufficient_memory'],
  ])('%s', (message, code) => {
    const error = loadError(new Error(message), path);
    expect(error.code).toBe(code);
    expect(error.message).not.toContain('/srv');
  });

  it('name operators, never paths of this machine or of the one that built onnxruntime', () => {
    const text = describeFault(
      new Error(
        "/onnxruntime_src/onnxruntime/core/providers/cpu/nn/conv.cc:12 node '/model/down/conv/Conv' at /home/me/x.onnx, /opt/ml/models/ab12/model/models/w.bin",
      ),
    );
    expect(text).toContain("'/model/down/conv/Conv'");
    expect(text).not.toMatch(/onnxruntime_src|\/home|\/opt/);
    expect(runError(new Error('x'.repeat(5000))).message.length).toBeLessThan(600);
  });
});
