/**
 * A process of its own that probes WebGPU, so that a driver that aborts takes only this process with it. Prints one
 * line of JSON, a WebGpuTraits.
 */
import { probeWebGpu } from './webgpuProbe.ts';

process.stdout.write(`${JSON.stringify(await probeWebGpu())}\n`);
