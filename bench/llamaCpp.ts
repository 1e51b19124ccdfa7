/** llama.cpp through node-llama-cpp, as the benchmarks' peer: prompts as token ids, greedy answers, times. */

/** Milliseconds of the prompt (with its first token) and of the other new tokens, and these tokens. */
export interface PeerRun {
  tokenIds: number[];
  prefillMs: number;
  decodeMs: number;
}

export interface LlamaCpp {
  run(prompt: readonly number[], newTokens: number): Promise<PeerRun>;
  dispose(): Promise<void>;
}

/** What is used of node-llama-cpp, which is installed only where a benchmark is run. */
interface LlamaModule {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{
        getSequence(): {
          clearHistory(): Promise<void>;
          evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
        };
      }>;
      dispose(): Promise<void>;
    }>;
  }>;
}

/** Opens a GGUF file on the CPU. Needs `npm install` in bench/peers. */
export async function openLlamaCpp(
  modelPath: string,
  { threads, contextSize }: { threads: number; contextSize: number },
): Promise<LlamaCpp> {
  const url = new URL('./peers/node_modules/node-llama-cpp/dist/index.js', import.meta.url).href;
  const peer = (await import(url)) as LlamaModule;
  const llama = await peer.getLlama({ gpu: false, build: 'never', maxThreads: threads });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize, batchSize: 512, threads });
  const sequence = context.getSequence();
  return {
    async run(prompt, newTokens) {
      await sequence.clearHistory();
      const start = performance.now();
      let first = 0;
      const ids: number[] = [];
      const evaluation = sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true });
      const generated = evaluation[Symbol.asyncIterator]();
      while (ids.length < newTokens) {
        ids.push((await generated.next()).value as number);
        if (ids.length === 1) first = performance.now();
      }
      await generated.return?.();
      return { tokenIds: ids, prefillMs: first - start, decodeMs: performance.now() - first };
    },
    dispose: () => model.dispose(),
  };
}
