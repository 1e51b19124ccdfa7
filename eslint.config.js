import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const onlyExtension = { name: 'vscode', message: 'Only src/extension imports vscode.' };

const onlyRuntime = {
  name: 'onnxruntime-node',
  message: 'Take it from src/onnx/runtime.ts, which keeps it from sending usage data.',
};

/**
 * The rooms of src/, lowest first (docs/architecture.md). A room may import its own level's folder and the
 * levels before it; `protocol` (types that cross a process boundary) may be imported by all and imports nothing.
 */
const levels = [
  ['protocol'],
  ['onnx', 'checkpoint'],
  ['hub'],
  ['decoder', 'retrieval'],
  ['spring', 'prag'],
  ['evaluation'],
  ['engine'],
  ['extension', 'cli'],
];

const rooms = levels.flat();

/** Folders of tests and tools, which nothing that ships imports. */
const notShipped = ['test', 'bench', 'scripts'];

/** For the files of a room: the rooms they may not import from, as patterns of relative paths. */
const layering = levels.flatMap((sameLevel, level) =>
  sameLevel.map((room) => {
    const allowed = [room, ...levels.slice(0, level).flat()];
    const forbidden = [...rooms.filter((other) => !allowed.includes(other)), 'webview', ...notShipped];
    const regex = `^(\\.\\./)+(${forbidden.join('|')})/`;
    const message = 'Imports point downwards only: see docs/architecture.md.';
    const patterns = [{ regex, message }];
    const paths = room === 'extension' ? [onlyRuntime] : [onlyExtension, onlyRuntime];
    return {
      files: [`src/${room}/**`],
      rules: { '@typescript-eslint/no-restricted-imports': ['error', { paths, patterns }] },
    };
  }),
);

/** The panels' code runs in a browser: of `src` it may import the types and tables that cross the border. */
const webviewLayering = {
  files: ['webview/**'],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        paths: [onlyExtension, onlyRuntime],
        patterns: [
          { regex: '^(\\.\\./)+src/(?!protocol/)', message: 'Of src, webview imports protocol alone.' },
          {
            regex: `^(\\.\\./)+(${notShipped.join('|')})/`,
            message: 'What ships imports no tests and no tools.',
          },
          { regex: '^node:', message: 'There is no Node in a webview.' },
        ],
      },
    ],
  },
};

const windowFunctions =
  'show(Error|Warning|Information)Message|(show|create)(QuickPick|InputBox)|withProgress|setStatusBarMessage|createOutputChannel|createTreeView|registerTreeDataProvider';

/** Texts of files are shown as they stand: what may do more with them is called from the one place that sees to it. */
const shownByOnePlace = [
  {
    selector: `MemberExpression[object.property.name='window'][property.name=/^(${windowFunctions})$/]`,
    message:
      'Show it through src/extension/show.ts (rows of a view: views/listView.ts), where no text is a link.',
  },
  {
    selector: "MemberExpression[property.name='MarkdownString']",
    message: 'Use markdownText of src/extension/show.ts, which escapes the text.',
  },
  {
    selector: "MemberExpression[object.name='stream']",
    message: 'Write to the chat through src/extension/chat/reply.ts, which escapes the text.',
  },
  {
    selector: "AssignmentExpression[left.property.name='tooltip']:not([right.callee.name='plain'])",
    message: 'Give plain(text) of src/extension/harmless.ts.',
  },
];

const noHtml = {
  selector: 'MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|srcdoc)$/]',
  message: 'Text goes into text nodes (webview/dom.ts).',
};

export default tseslint.config(
  { ignores: ['dist', 'node_modules', '.vscode-test', 'coverage', 'bench/*/node_modules'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['*.js', '*.mjs'] } } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  ...layering,
  webviewLayering,
  { files: ['src/extension/**'], rules: { 'no-restricted-syntax': ['error', ...shownByOnePlace] } },
  {
    files: ['src/extension/show.ts', 'src/extension/views/listView.ts', 'src/extension/chat/reply.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  { files: ['webview/**'], rules: { 'no-restricted-syntax': ['error', noHtml] } },
  { files: ['src/onnx/runtime.ts'], rules: { '@typescript-eslint/no-restricted-imports': 'off' } },
  { files: ['test/**'], rules: { '@typescript-eslint/no-unused-expressions': 'off' } },
  {
    files: ['**/*.js', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } },
  },
);
