/**
 * Keys and values that never leave a device. Sequences that are decoded together are the rows of one batch, each with
 * keys and values of its own; a pass puts out new buffers that take the place of the old.
 *
 * A batch has owners, the sequences that are its rows; when the last has left it, its memory is freed.
 */
import { Tensor } from '../onnx/runtime.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import type { BatchRow, DeviceTensors } from './deviceTensors.ts';
import {
  keyValueNames,
  positionsOf,
  type KeyValueMemory,
  type Run,
  type Sequence,
} from './keyValueMemory.ts';
import { ropeRegime, type RopeTables } from './rope.ts';
import { RotaryTables, tableFeeds } from './rotaryTables.ts';

interface Batch {
  /** Per layer keys, then values: (rows, keyValueHeads, capacity, headDim). */
  tensors: Tensor[];
  rows: number;
  capacity: number;
  owners: number;
}

class DeviceSequence implements Sequence {
  batch: Batch;
  row = 0;
  length: number;

  constructor(batch: Batch, length: number) {
    this.batch = batch;
    this.length = length;
  }
}

export class DeviceKeyValues implements KeyValueMemory {
  readonly elementBytes: number;
  readonly mixesSequences = false;
  readonly fewestRows = 1;
  private readonly config: ModelConfig;
  private readonly device: DeviceTensors;
  private readonly tables: RotaryTables;
  /** Tables that lie on the device. */
  private readonly uploaded = new Map<readonly RopeTables[], Record<string, Tensor>>();

  constructor(config: ModelConfig, device: DeviceTensors) {
    this.config = config;
    this.device = device;
    this.tables = new RotaryTables(config);
    this.elementBytes = device.elementBytes;
  }

  async create(capacity: number): Promise<DeviceSequence> {
    const { numKeyValueHeads, headDim } = this.config;
    const tensors: Tensor[] = [];
    for (let index = 0; index < 2 * this.config.numLayers; index++) {
      tensors.push(await this.device.zeros([1, numKeyValueHeads, capacity, headDim]));
    }
    return new DeviceSequence({ tensors, rows: 1, capacity, owners: 1 }, 0);
  }

  async fork(source: Sequence, length: number, capacity: number): Promise<DeviceSequence> {
    const { batch, row } = deviceSequence(source);
    return new DeviceSequence(await this.gather([{ batch, row, length }], capacity), length);
  }

  copy(source: Sequence, length: number, capacity: number): Promise<DeviceSequence> {
    return this.fork(source, length, capacity);
  }

  release(sequence: Sequence): void {
    leave(deviceSequence(sequence).batch);
  }

  /** Several sequences go together with one new position each, if they use the same rotary tables. */
  passes(runs: readonly Run[]): Run[][] {
    if (runs.some((run) => positionsOf(run, this.config) > 1)) return runs.map((run) => [run]);
    return [...Map.groupBy(runs, ({ ropeLength }) => ropeRegime(this.config, ropeLength)).values()];
  }

  /** See FusedAttention for what they are. */
  async feeds(pass: readonly Run[]): Promise<Record<string, Tensor>> {
    const batch = await this.asBatch(pass.map(({ sequence }) => deviceSequence(sequence)));
    const totals = pass.map((run) => run.sequence.length + positionsOf(run, this.config));
    const tables = await this.rotaryTables(batch.capacity, pass[0]!.ropeLength);
    const names = keyValueNames(this.config, 'past');
    return {
      seqlens_k: new Tensor(
        'int32',
        Int32Array.from(totals, (total) => total - 1),
        [batch.rows],
      ),
      total_sequence_length: new Tensor('int32', Int32Array.of(Math.max(...totals)), []),
      ...tables,
      ...Object.fromEntries(batch.tensors.map((tensor, index) => [names[index]!, tensor])),
    };
  }

  accept(pass: readonly Run[], results: Readonly<Record<string, Tensor>>): void {
    const { batch } = deviceSequence(pass[0]!.sequence);
    for (const tensor of batch.tensors) tensor.dispose();
    batch.tensors = keyValueNames(this.config, 'present').map((name) => results[name]!);
    for (const run of pass) deviceSequence(run.sequence).length += positionsOf(run, this.config);
  }

  dispose(): Promise<void> {
    for (const feeds of this.uploaded.values()) for (const tensor of Object.values(feeds)) tensor.dispose();
    this.uploaded.clear();
    return Promise.resolve();
  }

  /** The batch whose rows are exactly these sequences; they move to a new one if there is none. */
  private async asBatch(sequences: readonly DeviceSequence[]): Promise<Batch> {
    const { batch } = sequences[0]!;
    const isWhole = batch.rows === sequences.length;
    if (isWhole && sequences.every((sequence, row) => sequence.batch === batch && sequence.row === row)) {
      return batch;
    }
    const capacity = Math.max(...sequences.map((sequence) => sequence.batch.capacity));
    const gathered = await this.gather(sequences, capacity);
    sequences.forEach((sequence, row) => {
      leave(sequence.batch);
      sequence.batch = gathered;
      sequence.row = row;
    });
    return gathered;
  }

  private async gather(rows: readonly (BatchRow & { batch: Batch })[], capacity: number): Promise<Batch> {
    const tensors = await this.device.gather(rows, capacity, this.config);
    return { tensors, rows: rows.length, capacity, owners: rows.length };
  }

  private async rotaryTables(positions: number, sequenceLength: number): Promise<Record<string, Tensor>> {
    const tables = this.tables.get(positions, sequenceLength);
    let uploaded = this.uploaded.get(tables);
    if (!uploaded) {
      // those replaced by larger ones, or of lengths that are past
      if (this.uploaded.size > 2) await this.dispose();
      uploaded = {};
      for (const [name, tensor] of Object.entries(tableFeeds(tables))) {
        uploaded[name] = await this.device.upload(tensor);
      }
      this.uploaded.set(tables, uploaded);
    }
    return uploaded;
  }
}

function leave(batch: Batch): void {
  if (batch.owners <= 0) throw new Error('A sequence was released more often than it was owned.');
  if (--batch.owners > 0) return;
  for (const tensor of batch.tensors) tensor.dispose();
  batch.tensors = [];
}

function deviceSequence(sequence: Sequence): DeviceSequence {
  if (sequence instanceof DeviceSequence) return sequence;
  throw new Error('The sequence lies in the memory of another device.');
}
