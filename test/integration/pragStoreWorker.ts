/** A process that encodes passages into a store: `FOLDER COUNT MAXIMUM_BYTES`. Sends each adapter's id. */
import { Decoder } from '../../src/decoder/decoder.ts';
import { AdapterStore } from '../../src/prag/adapterStore.ts';
import { preparedAugmenter } from '../../src/prag/augmenter.ts';
import { PassageEncoder } from '../../src/prag/encode.ts';
import { encoderModel } from '../../src/prag/passageAdapters.ts';
import { authorsRecipe } from '../../src/prag/recipe.ts';
import { manyPassages } from '../support/manyPassages.ts';
import { demoFolder } from '../support/oracle.ts';

const [folder, count, maximumBytes] = process.argv.slice(2);
const augmented = manyPassages(Number(count));
const decoder = await Decoder.open(demoFolder, { device: 'cpu' });
const encoder = await PassageEncoder.open(encoderModel(decoder, 'demo'), {
  store: new AdapterStore(folder!, Number(maximumBytes)),
  augmenter: preparedAugmenter([{ augmented }]),
  recipe: authorsRecipe,
});
process.send!('ready');
for await (const progress of encoder.encode(augmented.map(({ passage }) => passage))) {
  if (progress.type !== 'encoded') continue;
  const { index, adapter, fromStore } = progress;
  process.send!({ index, id: adapter.id, fromStore });
}
await encoder.dispose();
await decoder.dispose();
process.disconnect();
