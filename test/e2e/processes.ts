/** The engine processes of a window, as the system sees them. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { EngineRole } from '../../src/protocol/engine.ts';
import type { Workbench } from './workbench.ts';

/** Process ids of the engines of one role that a window's VS Code started. */
export function engineProcesses(workbench: Workbench, role: EngineRole): number[] {
  const lines = execFileSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' }).split('\n');
  return lines
    .filter((line) => line.includes(`engine.mjs ${role}`) && line.includes('spring-rag-e2e'))
    .map((line) => Number(line.trim().split(/\s+/)[0]))
    .filter((id) => belongsTo(id, workbench.server.processId));
}

/** Processor time that a process has used so far. */
export function processorSeconds(id: number): number {
  const fields = readFileSync(`/proc/${String(id)}/stat`, 'utf8')
    .split(') ')
    .at(-1)!
    .split(' ');
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function belongsTo(child: number, ancestor: number): boolean {
  for (let id = child; id > 1;) {
    if (id === ancestor) return true;
    id = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${String(id)}/status`, 'utf8'))?.[1] ?? 0);
  }
  return false;
}
