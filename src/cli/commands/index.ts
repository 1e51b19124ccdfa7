import type { Command } from 'commander';
import { registerAsk } from './ask.ts';
import { registerGenerate } from './generate.ts';
import { registerInspect } from './inspect.ts';

/** Adds one command to the program. */
export type RegisterCommand = (program: Command) => void;

export const commands: readonly RegisterCommand[] = [registerAsk, registerGenerate, registerInspect];
