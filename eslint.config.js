import js from '@eslint/js';
import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/**
 * The rooms of src/, lowest first (docs/architecture.md). A room may import its own level's folder and the
 * levels before it; `protocol` (types that cross a process boundary) may be imported by all and imports nothing.
 */
const levels = [
  ['protocol'],
  ['onnx', 'checkpoint', 'hub'],
  ['decoder', 'retrieval'],
  ['spring', 'prag'],
  ['evaluation'],
  ['engine'],
  ['extension', 'cli'],
];

const zones = levels.flatMap((rooms, level) =>
  rooms.map((room) => ({
    target: `./src/${room}`,
    from: './src',
    except: [room, ...(level === 0 ? [] : levels.slice(0, level).flat())].map((r) => `./${r}`),
    message: 'Imports point downwards only: see docs/architecture.md.',
  })),
);

export default tseslint.config(
  { ignores: ['dist', 'node_modules', '.vscode-test', 'coverage', 'bench/*/node_modules'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['*.js', '*.mjs'] } } },
    settings: { 'import-x/resolver': { node: { extensions: ['.ts', '.js'] } } },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones }],
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'vscode', message: 'Only src/extension imports vscode.' }] },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  { files: ['src/extension/**', 'test/e2e/suite/**'], rules: { 'no-restricted-imports': 'off' } },
  { files: ['test/**'], rules: { '@typescript-eslint/no-unused-expressions': 'off' } },
  {
    files: ['**/*.js', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } },
  },
);
