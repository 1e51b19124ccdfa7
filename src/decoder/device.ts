/**
 * Which devices this machine can run the model on, and which of them `auto` takes.
 */
import { execFile } from 'node:child_process';
import { programBeside } from '../checkpoint/files.ts';
import { listSupportedBackends } from '../onnx/runtime.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import type { Device } from './types.ts';
import type { WebGpuTraits } from './webgpuProbe.ts';

/** A device as shown to the user. */
export interface DeviceDescription {
  device: Device;
  /** Whether it can be chosen here. */
  usable: boolean;
  /** Why it cannot be used, or what is known of it. */
  detail: string;
}

export interface ChosenDevice {
  device: Device;
  /** Why this one. */
  reason: string;
  /** Of the adapter, if the device is WebGPU. */
  webgpu?: Extract<WebGpuTraits, { available: true }>;
}

/** An adapter slower than this share of the CPU's speed is taken for one in software. */
const slowestAdapter = 0.5;
const probeTimeoutMs = 60_000;

let probe: Promise<WebGpuTraits> | undefined;

/** What the WebGPU adapter can do; found out once, in a process of its own. */
export function webGpuTraits(): Promise<WebGpuTraits> {
  probe ??= runProbe();
  return probe;
}

/** All devices, with the reason why one cannot be used. */
export async function describeDevices(): Promise<DeviceDescription[]> {
  const traits = await webGpuTraits();
  const others = (['cuda', 'dml', 'coreml'] as const).map((device) => {
    const missing = whyNotBundled(device);
    return { device, usable: missing === undefined, detail: missing ?? 'in this onnxruntime-node package' };
  });
  return [
    { device: 'cpu', usable: true, detail: 'always there' },
    { device: 'webgpu', usable: traits.available, detail: describeWebGpu(traits) },
    ...others,
  ];
}

/**
 * The device to use: `auto` takes WebGPU if there is a real adapter, else the CPU.
 * @throws UserError if the device asked for cannot be used
 */
export async function chooseDevice(wanted: Device | 'auto'): Promise<ChosenDevice> {
  if (wanted === 'cpu') return { device: 'cpu', reason: 'asked for' };
  if (wanted !== 'auto' && wanted !== 'webgpu') {
    const missing = whyNotBundled(wanted);
    if (missing !== undefined) {
      throw new UserError(`The device ${wanted} cannot be used: ${missing}. Use cpu, webgpu or auto.`);
    }
    return { device: wanted, reason: 'asked for' };
  }
  const traits = await webGpuTraits();
  if (traits.available && (wanted === 'webgpu' || traits.speedOverCpu >= slowestAdapter)) {
    const reason = wanted === 'webgpu' ? 'asked for' : describeWebGpu(traits);
    return { device: 'webgpu', reason, webgpu: traits };
  }
  if (wanted === 'webgpu') {
    throw new UserError(`The device webgpu cannot be used: ${describeWebGpu(traits)}. Use cpu or auto.`);
  }
  return { device: 'cpu', reason: describeWebGpu(traits) };
}

function describeWebGpu(traits: WebGpuTraits): string {
  if (!traits.available) return `no WebGPU adapter: ${traits.reason}`;
  const times = traits.speedOverCpu;
  const speed =
    times >= 1 ? `${times.toFixed(1)} times as fast as` : `${(1 / times).toFixed(1)} times slower than`;
  const kind = times >= slowestAdapter ? 'WebGPU adapter' : 'WebGPU adapter in software';
  return `${kind}, ${speed} the CPU in a small test${traits.float16 ? '' : ', without float16'}`;
}

/** Why a device other than cpu and webgpu cannot be chosen; undefined if it can. */
function whyNotBundled(device: 'cuda' | 'dml' | 'coreml'): string | undefined {
  const backend = listSupportedBackends().find(({ name }) => name === device);
  if (!backend) return `onnxruntime-node for ${process.platform} ${process.arch} does not support it`;
  if (!backend.bundled) {
    return `onnxruntime-node comes without its libraries (see "CUDA" in the package's installation notes)`;
  }
  return undefined;
}

function runProbe(): Promise<WebGpuTraits> {
  return new Promise((resolve) => {
    const options = { timeout: probeTimeoutMs, env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' } };
    const program = [
      '--disable-warning=ExperimentalWarning',
      programBeside(import.meta.url, 'webgpuProbeMain'),
    ];
    execFile(process.execPath, program, options, (error, stdout) => {
      try {
        resolve(JSON.parse(stdout.trim().split('\n').at(-1)!) as WebGpuTraits);
      } catch {
        const what = error?.signal ? `it was ended by ${error.signal}` : messageOf(error);
        resolve({
          available: false,
          reason: `the probe of the driver failed (${what.trim().split('\n')[0]!})`,
        });
      }
    });
  });
}
