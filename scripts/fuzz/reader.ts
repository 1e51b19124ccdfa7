/** What a reader of files is to the fuzzer. */

/** Files by name, all in one folder. */
export type Seed = Readonly<Record<string, Uint8Array>>;

export interface FuzzReader {
  name: string;
  /**
   * Sound inputs; one file of one of them at a time is damaged.
   *
   * @param folder for inputs that must be made first
   */
  seeds: (folder: string) => Promise<Seed[]>;
  /** Files that are damaged; default: all of a seed. */
  damaged?: readonly string[];
  /** Reads a folder as the product would. What it throws must be an error for people (UserError). */
  read: (folder: string) => Promise<void>;
}
