/** Tokenizers and chat templates: opened, then used. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderChat } from '../../../src/checkpoint/chatTemplate.ts';
import { openTokenizer } from '../../../src/checkpoint/tokenizer.ts';
import type { FuzzReader } from '../reader.ts';

const demo = join(import.meta.dirname, '../../../media/demo');
const names = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'];
const texts = ['The harbor of Dornor, 8080 [ref1] a\u0301 漢字 \u{1f600}', 'a'.repeat(2000), '  \n\t', ''];

export const tokenizer: FuzzReader = {
  name: 'tokenizer',
  seeds: () =>
    Promise.resolve([
      Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(join(demo, name)))])),
    ]),
  async read(folder) {
    const opened = await openTokenizer(folder);
    for (const text of texts) {
      const ids = opened.withVirtualTokens(3).encode(text);
      opened.decode(ids.filter((id) => id < opened.firstVirtualTokenId));
    }
    renderChat(opened, [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: texts[0]! },
    ]);
  },
};
