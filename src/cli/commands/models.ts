/** `spring models`: what can be used, what of it is here, and what this machine can hold. */
import stringWidth from 'string-width';
import { environmentCacheDir, environmentEndpoint } from '../../hub/environment.ts';
import { formatBytes } from '../../hub/format.ts';
import { machineMemory } from '../../hub/memory.ts';
import { overview } from '../../hub/overview.ts';
import type { OverviewRow } from '../../hub/overview.ts';
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
  let rows = await overview({ memory });
  if (options.downloaded) rows = rows.filter(({ state }) => state !== 'absent');
  const cacheDir = environmentCacheDir();
  if (options.json) {
    const document = {
      cacheDir,
      endpoint: environmentEndpoint(),
      memory,
      models: rows.map(({ entry, ...rest }) => ({ ...entry, ...rest })),
    };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    [
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

function decoderTable(rows: readonly OverviewRow[]): string[][] {
  const body = rows
    .filter(({ entry }) => entry.kind === 'chat' || entry.kind === 'base')
    .map((row) => [
      row.entry.id,
      row.entry.kind,
      size(row),
      licence(row),
      row.state,
      ...(['f32', 'int8', 'int4'] as const).map((precision) =>
        row.memory === null ? '?' : formatBytes(row.memory[precision]),
      ),
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

function runsHere({ memory, runsHere: best }: OverviewRow): string {
  if (memory === null) return '?';
  if (best === null) return `no, needs ${formatBytes(memory.int4)}`;
  return best.fit === 'runs' ? `yes, ${best.precision}` : `if others make room, ${best.precision}`;
}

/** Rows as aligned columns; the first row is the heading. */
function section(title: string, table: readonly (readonly string[])[]): string[] {
  if (table.length < 2) return [];
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((row) => stringWidth(row[column] ?? ''))),
  );
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - stringWidth(cell))))
      .join('  ')
      .trimEnd(),
  );
  return [bold(title), ...lines.map((line, index) => (index === 0 ? dim(line) : line)), ''];
}
