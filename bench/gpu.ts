/**
 * Speed on a machine with a GPU: writes random checkpoints, then measures prefill, decoding and comparisons in each
 * precision, on WebGPU and on the CPU, each in a process of its own. Prints a JSON table.
 *
 *     node bench/gpu.ts [--shapes smollm2-135m,qwen2.5-0.5b,qwen2.5-7b] [--precisions f32,f16,int8,int4]
 *                       [--devices webgpu,cpu] [--folder DIR] [--runs 3] [--json FILE]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import { describeDevices } from '../src/decoder/device.ts';
import type { Device, Precision } from '../src/decoder/types.ts';
import { shapes, writeRandomCheckpoint, type Shape } from './checkpoints.ts';
import { measure, measureComparison } from './measure.ts';

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: Object.keys(shapes).join() },
    precisions: { type: 'string', default: 'f32,f16,int8,int4' },
    devices: { type: 'string', default: 'webgpu,cpu' },
    folder: { type: 'string', default: join(tmpdir(), 'spring-bench') },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    /** Internal: measure one combination in this process. */
    one: { type: 'string' },
  },
});

if (values.one !== undefined) {
  const [shape, device, precision] = values.one.split(',') as [Shape, Device, Precision];
  console.log(JSON.stringify(await measureOne(shape, device, precision)));
} else {
  const rows: unknown[] = [];
  console.error(await describeDevices());
  for (const shape of values.shapes.split(',') as Shape[]) {
    await checkpointOf(shape);
    for (const device of values.devices.split(',')) {
      for (const precision of values.precisions.split(',')) {
        // a 7B model is of interest in the precisions people run it in
        if (shape === 'qwen2.5-7b' && (precision === 'f32' || device === 'cpu')) continue;
        if (device === 'cpu' && precision === 'f16') continue;
        rows.push(runOne(shape, device, precision));
        console.error(JSON.stringify(rows.at(-1)));
        if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 2));
      }
    }
  }
  console.log(JSON.stringify(rows, null, 2));
}

async function checkpointOf(shape: Shape): Promise<string> {
  const folder = join(values.folder, shape);
  if (!existsSync(join(folder, 'model.safetensors'))) {
    console.error(`writing ${folder}`);
    await writeRandomCheckpoint(folder, shape, shape === 'qwen2.5-7b' ? 'F16' : 'F32');
  }
  return folder;
}

function runOne(shape: string, device: string, precision: string): unknown {
  const flags = [
    '--folder',
    values.folder,
    '--runs',
    values.runs,
    '--one',
    [shape, device, precision].join(),
  ];
  const program = ['--disable-warning=ExperimentalWarning', import.meta.filename, ...flags];
  const result = spawnSync(process.execPath, program, { encoding: 'utf8', timeout: 500_000 });
  try {
    return JSON.parse(result.stdout.trim().split('\n').at(-1)!);
  } catch {
    const lines = result.stderr.trim().split('\n').slice(-3).join(' ');
    return { shape, device, precision, error: `${result.signal ?? result.status}: ${lines}` };
  }
}

async function measureOne(shape: Shape, device: Device, precision: Precision): Promise<unknown> {
  const quantizedFolder = join(values.folder, 'quantized');
  const decoder = await Decoder.open(await checkpointOf(shape), { device, precision, quantizedFolder });
  const runs = Number(values.runs);
  const speed = await measure(decoder, { runs });
  const comparison = await measureComparison(decoder, { runs });
  const row = {
    shape,
    device: decoder.device,
    precision: decoder.precision,
    loadMs: Math.round(decoder.loadMs),
    weightBytes: decoder.session.weightBytes,
    ...speed,
    secondsOfVariants: comparison,
    ratioOf2: comparison[2]! / comparison[1]!,
    ratioOf5: comparison[5]! / comparison[1]!,
  };
  await decoder.dispose();
  return row;
}
