/** What a tokenizer is made of, whatever file it comes from: what `Tokenizer` needs of a folder's or a GGUF file's. */

/** The texts of the tokens with a role; absent where the files name none. */
export interface SpecialTokens {
  bos?: string;
  eos?: string;
  unk?: string;
  pad?: string;
}

/** A token that text may spell out although the files do not hold it. */
export interface AddedToken {
  id: number;
  content: string;
}

export interface EncodeOptions {
  /** Whether BOS and the like are put around the text, as the files say. */
  addSpecialTokens: boolean;
  /** Whether tokens such as BOS that the text spells out are text like any other. */
  specialTokensAsText: boolean;
}

/** Turns text into token ids and back. */
export interface TokenizerModel {
  encode(text: string, options: EncodeOptions): number[];
  /** Ids without a token give nothing. */
  decode(ids: readonly number[], options: { skipSpecialTokens: boolean }): string;
  /** The id of a token by its exact spelling in the vocabulary. */
  tokenId(token: string): number | undefined;
  /** The bytes that a token stands for (UTF-8, of which it may hold a part of a character). */
  bytes(id: number): Uint8Array | undefined;
}

/** A vocabulary as its files hold it, and how to build a tokenizer of it. */
export interface TokenizerSource {
  /** The file that an error message names. */
  path: string;
  /** Tokens of the model and added ones, each counted once: what transformers calls len(tokenizer). */
  size: number;
  /** Largest id of the vocabulary and the added tokens. */
  highestId: number;
  /** Largest id of the vocabulary without tokens that were added to it later. */
  highestBaseId: number;
  /** The Jinja text of the chat template. */
  chatTemplate?: string;
  specialTokens: SpecialTokens;
  /**
   * @param added further tokens that are recognised in text
   * @throws UserError if the kind of tokenizer is not supported
   */
  build(added: readonly AddedToken[]): TokenizerModel;
}
