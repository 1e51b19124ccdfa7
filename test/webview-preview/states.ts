/** States of the comparison panel, as the extension host would send them. */
import type { Answer, AnswerToken, ModelInfo, TokenFileInfo } from '../../src/protocol/comparison.ts';
import {
  defaultInputs,
  type PanelColumn,
  type PanelPassage,
  type PanelState,
} from '../../src/protocol/panel.ts';

export const demoModel: ModelInfo = {
  id: 'demo',
  name: 'demo',
  folder: '/extension/media/demo',
  source: 'built-in',
  architecture: 'Llama',
  hiddenSize: 160,
  numLayers: 6,
  contextLength: 2048,
  weightBytes: 9_412_000,
  fingerprint: 'f3a1',
};

export const demoTokens: TokenFileInfo = {
  path: '/extension/media/demo/spring-50.pt',
  name: 'spring-50.pt',
  source: 'built-in',
  rows: 50,
  hiddenSize: 160,
  dtype: 'float32',
  sha256: 'ab'.repeat(32),
};

const wideTokens: TokenFileInfo = {
  ...demoTokens,
  path: '/home/user/llama2.7b.chat.added_token_embeddings.pt',
  name: 'llama2.7b.chat.added_token_embeddings.pt',
  source: 'folder',
  hiddenSize: 4096,
  dtype: 'bfloat16',
};

export const misfit =
  'its rows are 4096 wide, but the model “demo” needs 160. Choose a file trained for this model.';

/** Splits a text into tokens as a decoder would report them, with plausible probabilities. */
export function tokensOf(text: string): AnswerToken[] {
  return (text.match(/\s*\S{1,5}/gu) ?? []).map((piece, place) => {
    const logProbability = [-0.01, -0.04, -0.3, -0.02, -1.4][place % 5]!;
    const others = [' the', ' of', '\n', ' a'].map((other, rank) => ({
      tokenId: 900 + rank,
      text: other,
      logProbability: logProbability - 0.6 - rank,
    }));
    const tokenId = 100 + place;
    return {
      tokenId,
      text: piece,
      logProbability,
      alternatives: [{ tokenId, text: piece, logProbability }, ...others],
    };
  });
}

function answerOf(text: string, part: Partial<Answer> = {}): Answer {
  const tokenIds = tokensOf(text).map(({ tokenId }) => tokenId);
  return {
    text,
    tokenIds,
    promptTokens: 233,
    sharedTokens: 214,
    truncatedTokens: 0,
    stopReason: 'eos',
    timings: { prefillMs: 61, decodeMs: 9.1 * tokenIds.length, decodeTokensPerSecond: 109.4 },
    ...part,
  };
}

export function column(
  variant: PanelColumn['variant'],
  label: string,
  text: string,
  part: Partial<PanelColumn> = {},
): PanelColumn {
  const k = variant.startsWith('spring:') ? Number(variant.slice(7)) : 0;
  return {
    variant,
    label,
    k,
    status: 'done',
    tokens: tokensOf(text),
    answer: answerOf(text),
    prompt: [
      { text: promptedPassages },
      ...(k > 0 ? [{ virtualTokens: k }] : []),
      { text: 'Question: Which port does Corda listen on?\nAnswer:' },
    ],
    ...part,
  };
}

export function passage(
  id: string,
  part: Partial<PanelPassage> & { text: string; path?: string },
): PanelPassage {
  const { text, path, ...rest } = part;
  const rank = Number(id.replace(/\D/g, '')) || 1;
  return {
    id,
    passage: { text, path, startLine: 5, endLine: 9, score: 0.91 - rank * 0.13 },
    ticked: true,
    origin: 'retrieved',
    rank,
    titlePath: ['Corda', 'Networking'],
    bm25Rank: rank,
    vectorRank: rank + 2,
    ...rest,
  };
}

const passages: PanelPassage[] = [
  passage('p1', {
    path: 'corda.md',
    text: 'This part is about ports, protocols and regions. The protocol of Corda is AMQP. Clients reach Corda through port 9787.',
  }),
  passage('p2', {
    path: 'services/messaging/daistal.md',
    titlePath: ['Daistal', 'Running it'],
    text: 'Daistal forwards what Corda sends. The data centre of Daistal is in Tazea. Log files from Daistal end up in /var/log/daistal. This applies to all releases. Clients reach Daistal through port 4410, which a firewall has to let through; the health check of the load balancer uses the same port and expects an answer within two seconds, or the instance is taken out of rotation until it has answered three times.',
  }),
  passage('p3', {
    path: 'corda.md',
    titlePath: ['Corda', 'Limits'],
    text: 'Limits protect other users of the platform. Corda has a timeout of 157 seconds. Corda makes 27 retries before it gives up.',
    ticked: false,
  }),
  passage('p4', {
    origin: 'by-hand',
    rank: null,
    bm25Rank: null,
    vectorRank: null,
    titlePath: [],
    text: 'The port can be overridden with CORDA_PORT.',
  }),
];
passages[3]!.passage = { text: passages[3]!.passage.text };

/** The ticked passages as the prompts number them. */
const promptedPassages = `${passages
  .filter(({ ticked }) => ticked)
  .map((item, place) => `[${place + 1}] ${item.passage.text}\n`)
  .join('')}\n`;

/** A first view: the workspace is indexed, nothing has been asked. */
export const readyState: PanelState = {
  version: 1,
  workspace: { name: 'samples', trusted: true },
  index: {
    kind: 'ready',
    files: 40,
    chunks: 312,
    errors: 0,
    updatedAt: '2026-11-20T10:12:00Z',
    contentHash: null,
  },
  model: { kind: 'unloaded' },
  run: { kind: 'idle' },
  models: [demoModel],
  tokenFiles: [demoTokens, wideTokens],
  tokenFileFit: { [demoTokens.path]: null, [wideTokens.path]: misfit },
  tokenFileWarnings: {},
  inputs: { ...defaultInputs, model: 'demo', tokenFile: demoTokens.path },
  passages: [],
  budget: null,
  columns: [],
  record: null,
  notices: [],
};

export const emptyState: PanelState = {
  ...readyState,
  index: { kind: 'none' },
  model: {
    kind: 'none',
    actions: [
      { label: 'Use the Demo Model', action: 'use-demo-model' },
      { label: 'Select Model', action: 'select-model' },
    ],
  },
  models: [],
  tokenFiles: [],
  tokenFileFit: {},
  inputs: { ...defaultInputs },
};

const question = 'Which port does Corda listen on?';

export const doneState: PanelState = {
  ...readyState,
  model: { kind: 'ready', device: 'cpu', precision: 'f32', loadMs: 184 },
  inputs: {
    ...readyState.inputs,
    question,
    columns: [{ kind: 'no-rag' }, { kind: 'baseline' }, { kind: 'prompt' }, { kind: 'spring' }],
  },
  passages,
  budget: { tokens: 233, room: 462, leftOut: [] },
  columns: [
    column(
      'no-rag',
      'No retrieval',
      ' Corda listens on port 4410, as far as is known from the usual set-up.',
      {
        prompt: [{ text: `Question: ${question}\nAnswer:` }],
      },
    ),
    column(
      'baseline',
      'Baseline',
      ' The protocol of Corda is AMQP. Clients reach Corda through port 9787. The protocol of Corda is AMQP. Clients reach Corda through',
      { answer: answerOf(' The protocol of Corda is AMQP.', { stopReason: 'length' }) },
    ),
    column('prompt', 'Instruction prompt', ' The answer is port 9787 and AMQP is the protocol.'),
    column('spring:10', 'SPRING k=10', ' 9787'),
  ],
  run: { kind: 'done', timings: { firstPassageMs: 14, firstTokenMs: 312, totalMs: 894 }, stale: false },
};

export const streamingState: PanelState = {
  ...doneState,
  run: { kind: 'streaming' },
  columns: doneState.columns.map((item, place) => ({
    ...item,
    status: place === 3 ? 'waiting' : 'streaming',
    tokens: item.tokens.slice(0, place === 3 ? 0 : 4),
    answer: null,
  })),
};

export const hostileText =
  '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> [click](javascript:window.hacked=1) **bold** &lt;b&gt;';
export const arabicText = 'يستمع كوردا إلى المنفذ 9787 ويستخدم البروتوكول AMQP.';

export const hostileState: PanelState = {
  ...doneState,
  inputs: { ...doneState.inputs, question: hostileText, columns: [{ kind: 'baseline' }, { kind: 'spring' }] },
  passages: [
    passage('p1', {
      path: '<img src=x onerror=window.hacked=1>.md',
      text: hostileText,
      titlePath: [hostileText],
    }),
    passage('p2', { path: 'arabic.md', text: arabicText, titlePath: ['كوردا'] }),
    passage('p3', { path: 'long.md', text: 'x'.repeat(3000) }),
  ],
  columns: [
    column('baseline', hostileText, hostileText),
    column('spring:10', 'SPRING k=10', arabicText + ' ' + 'y'.repeat(400)),
  ],
  notices: [{ id: 'n1', severity: 'error', message: hostileText, actions: [] }],
  model: { kind: 'failed', message: hostileText, actions: [{ label: hostileText, action: 'retry' }] },
};

export const troubledState: PanelState = {
  ...doneState,
  workspace: { name: 'samples', trusted: false },
  index: {
    kind: 'indexing',
    filesDone: 12,
    filesTotal: 40,
    chunks: 96,
    currentFile: 'services/messaging/daistal.md',
  },
  model: { kind: 'loading', message: 'Loading demo (9.4 MB)…' },
  inputs: { ...doneState.inputs, tokenFile: wideTokens.path },
  columns: doneState.columns.map((item) => ({ ...item, status: 'failed', tokens: [], answer: null })),
  run: {
    kind: 'failed',
    message: 'The inference process ended unexpectedly (signal SIGKILL). It has been started again.',
    actions: [
      { label: 'Try Again', action: 'retry' },
      { label: 'Show Log', action: 'show-log' },
    ],
  },
  notices: [
    {
      id: 'n1',
      severity: 'warning',
      message: 'The device was lost; the model runs on the CPU now.',
      actions: [{ label: 'Show Log', action: 'show-log' }],
    },
  ],
};
