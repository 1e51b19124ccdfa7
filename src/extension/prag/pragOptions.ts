/** How passages become adapters, as the settings say. */
import type { PragOptions } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import { isOfWorkspace, setting } from '../settings.ts';

/** Where an endpoint's key is taken from; settings are synchronised and shown, so it is none. */
const keyVariable = 'SPRING_API_KEY';

/** @throws UserError for an endpoint without a model */
export function pragOptions(): PragOptions {
  const url = setting('prag.endpoint');
  const model = setting('prag.endpointModel');
  if (url !== '' && model === '') {
    throw new UserError('Name the model of the endpoint in the setting springRag.prag.endpointModel.');
  }
  // The user's key goes to the endpoint of the user's own settings, not to one that a folder brings along.
  const apiKey = isOfWorkspace('prag.endpoint') ? undefined : process.env[keyVariable];
  const augmentedFile = setting('prag.augmentedFile');
  const fewShotFile = setting('prag.fewShotFile');
  return {
    ...(augmentedFile !== '' && { augmentedFile }),
    ...(fewShotFile !== '' && { fewShotFile }),
    ...(url !== '' && { endpoint: { url, model, apiKey } }),
  };
}
