/** What a file of `commands` gives to the program. */
import type { Command } from 'commander';

/** Adds one command to the program. */
export type RegisterCommand = (program: Command) => void;
