/** What the pickers, commands and views of this folder work with. */
import type { Engines } from '../engines.ts';
import type { Library } from '../library.ts';
import type { Downloads } from './downloads.ts';
import type { HubModels } from './hubModels.ts';
import type { MemoryGuard } from './memoryGuard.ts';

export interface ModelParts {
  hub: HubModels;
  downloads: Downloads;
  memoryGuard: MemoryGuard;
  library: Library;
  engines: Engines;
}
