/** Models in GGUF files that lie on this machine, whichever program put them there. */

export interface LocalModel {
  /** What the user types, such as `ollama:smollm2:135m`; unique. */
  name: string;
  /** Other names of the same file. */
  otherNames: string[];
  /** The program whose folder it lies in, for people. */
  store: string;
  /** The file to open (the first part); null: the store has none that could be. */
  path: string | null;
  /** Of all parts; 0 where the file was not looked into. */
  bytes: number;
  /** As the file names it, such as `llama`; empty where it was not looked into. */
  architecture: string;
  /** Such as `Q4_K_M`; null: not known. */
  quantization: string | null;
  /** Number of weights; null: not known. */
  parameters: number | null;
  /** Tokens; null: not known. */
  contextLength: number | null;
  /** Whether the file has a chat template. */
  chat: boolean;
  /** Bytes that a comparison takes on the CPU, estimated; null: not known. */
  memoryBytes: number | null;
  /** Whether that fits this machine: now, if other programs make room, or never. */
  fit: 'runs' | 'tight' | 'too-large' | null;
  /** Why it cannot run, in one sentence; null: it can, as far as its header tells. */
  problem: string | null;
}
