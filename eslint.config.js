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
  { files: ['src/onnx/runtime.ts'], rules: { '@typescript-eslint/no-restricted-imports': 'off' } },
  { files: ['test/**'], rules: { '@typescript-eslint/no-unused-expressions': 'off' } },
  {
    files: ['**/*.js', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } },
  },
);
