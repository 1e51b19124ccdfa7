/** `spring models`: what can be used, what of it is here, and what this machine can hold. */
import stringWidth from 'string-width';
import { environmentCacheDir, environmentEndpoint } from '../../hub/environment.ts';
import { formatBytes } from '../../hub/format.ts';
import { localModels } from '../../hub/localModels.ts';
import { machineMemory } from '../../hub/memory.ts';
import { leastMemory, overview } from '../../hub/overview.ts';
import type { OverviewRow } from '../../hub/overview.ts';
import type { LocalModel } from '../../protocol/localModels.ts';
import { visible } from '../../protocol/visible.ts';
import { bold, dim } from '../terminal.ts';
import type { RegisterCommand } from '../command.ts';

export const registerModels: RegisterCommand = (program) => {
  program
    .command('models')
    .description('list models, embedding files and retrieval models: size, licence, state, memory')
    .option('--downloaded', 'only what is on this machine')
    .option('--json', 'print one JSON document')
    .action((options: { downloaded?: boolean; json?: boolean }) => models(options));
};

async function models(options: { downloaded?: boolean; json?: boolean }): Promise<void> {
  const memory = machineMemory();
  let [rows, local] = await Promise.all([overview({ memory }), localModels({ memory })]);
  if (options.downloaded) rows = rows.filter(({ state }) => state !== 'absent');
  // What the list has stands there.
  const listed = new Set(rows.map(({ path }) => path));
  local = local.filter(({ path }) => path === null || !listed.has(path));
  const cacheDir = environmentCacheDir();
  if (options.json) {
    const document = {
      cacheDir,
      endpoint: environmentEndpoint(),
      memory,
      local,
      models: rows.map(({ entry, ...rest }) => ({ ...entry, ...rest })),
    };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    [
      ...section('On this machine (GGUF files, used where they lie)', localTable(local)),
      ...section('Models', decoderTable(rows)),
      ...section('Embedding files (virtual tokens)', tokenFileTable(rows)),
      ...section('Retrieval models', embeddingTable(rows)),
      dim(`Cache: ${cacheDir}`),
      dim(
        `Memory: ${formatBytes(memory.total)}, ${formatBytes(memory.available)} free; needed on the CPU, estimated`,
      ),
      dim('Get one with: spring download NAME'),
    ].join('\n') + '\n',
  );
}

function localTable(models: readonly LocalModel[]): string[][] {
  const body = models.map(({ name, store, bytes, quantization, memoryBytes, fit, problem }) => [
    name,
    store,
    bytes === 0 ? '?' : formatBytes(bytes),
    quantization ?? '?',
    memoryBytes === null ? '?' : formatBytes(memoryBytes),
    problem === null ? localFit(fit) : `no: ${problem}`,
  ]);
  return [['NAME', 'FROM', 'SIZE', 'WEIGHTS', 'MEMORY', 'RUNS HERE'], ...body];
}

function localFit(fit: LocalModel['fit']): string {
  if (fit === null) return '?';
  return { runs: 'yes', tight: 'if others make room', 'too-large': 'no, needs more memory' }[fit];
}

function decoderTable(rows: readonly OverviewRow[]): string[][] {
  const body = rows
    .filter(({ entry }) => entry.kind === 'chat' || entry.kind === 'base')
    .map((row) => [
      row.entry.id,
      row.entry.kind,
      size(row),
      licence(row),
      row.state,
      ...(['f32', 'int8', 'int4'] as const).map((precision) => precisionCell(row.memory, precision)),
      runsHere(row),
    ]);
  return [['NAME', 'KIND', 'SIZE', 'LICENCE', 'STATE', 'F32', 'INT8', 'INT4', 'RUNS HERE'], ...body];
}

function tokenFileTable(rows: readonly OverviewRow[]): string[][] {
  const body = rows.flatMap((row) => {
    const { entry } = row;
    if (entry.kind !== 'token-file') return [];
    return [[entry.id, String(entry.hiddenSize), entry.backbone, licence(row), row.state]];
  });
  return [['NAME', 'WIDTH', 'FOR MODEL', 'LICENCE', 'STATE'], ...body];
}

function embeddingTable(rows: readonly OverviewRow[]): string[][] {
  const body = rows.flatMap((row) => {
    const { entry } = row;
    if (entry.kind !== 'embedding') return [];
    return [[entry.id, size(row), String(entry.dimensions ?? '?'), licence(row), row.state]];
  });
  return [['NAME', 'SIZE', 'DIMENSIONS', 'LICENCE', 'STATE'], ...body];
}

function size({ state, diskBytes, entry }: OverviewRow): string {
  const bytes = state === 'absent' || state === 'partial' ? entry.downloadBytes : diskBytes;
  return bytes === undefined ? '?' : formatBytes(bytes);
}

function licence({ entry }: OverviewRow): string {
  const name = (entry.licence ?? 'see its page').replace(/ (Community|Research) License$/, '');
  return entry.gated === true ? `${name} (gated)` : name;
}

function precisionCell(memory: OverviewRow['memory'], precision: 'f32' | 'int8' | 'int4'): string {
  if (memory === null) return '?';
  const bytes = memory[precision];
  // A GGUF file runs as it stores its weights.
  return bytes === undefined ? '-' : formatBytes(bytes);
}

function runsHere({ memory, runsHere: best }: OverviewRow): string {
  if (memory === null) return '?';
  if (best === null) return `no, needs ${formatBytes(leastMemory(memory)[1])}`;
  const precision = best.precision === 'native' ? `as stored, ${formatBytes(best.bytes)}` : best.precision;
  return best.fit === 'runs' ? `yes, ${precision}` : `if others make room, ${precision}`;
}

/** Rows as aligned columns; the first row is the heading. */
function section(title: string, table: readonly (readonly string[])[]): string[] {
  if (table.length < 2) return [];
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((row) => stringWidth(row[column] ?? ''))),
  );
  const lines = table.map((row) =>
    row
      .map((cell) => visible(cell))
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - stringWidth(cell))))
      .join('  ')
      .trimEnd(),
  );
  return [bold(title), ...lines.map((line, index) => (index === 0 ? dim(line) : line)), ''];
}
