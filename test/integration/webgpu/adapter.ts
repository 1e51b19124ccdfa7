/** Finds a WebGPU adapter for the tests: a real one, else one in software. */
import { existsSync } from 'node:fs';

/** SwiftShader, which comes with Debian's chromium. */
const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Environment for a process that is to use WebGPU; undefined if nothing is known of an adapter here. */
export function webGpuEnvironment(): NodeJS.ProcessEnv | undefined {
  if (process.env['VK_ICD_FILENAMES'] !== undefined || process.env['SPRING_RAG_GPU'] !== undefined)
    return process.env;
  if (existsSync(softwareDriver)) return { ...process.env, VK_ICD_FILENAMES: softwareDriver };
  return undefined;
}
