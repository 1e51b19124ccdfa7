import assert from 'node:assert/strict';
import { formatBytes, formatSeconds } from '../../../src/hub/format.ts';
import { ProgressMeter } from '../../../src/hub/progress.ts';

describe('progress of a download', () => {
  it('rate and time left count what came over the network alone', () => {
    let time = 0;
    const meter = new ProgressMeter(1000, () => time);
    time = 500;
    // 600 of these bytes lay in the cache before: 100 in half a second.
    const event = meter.count('download', 'x', 700, 100)!;
    assert.deepEqual([event.doneBytes, event.bytesPerSecond, event.secondsLeft], [700, 200, 1.5]);
    time = 600;
    assert.equal(meter.count('download', 'x', 710, 10), undefined, 'not at every chunk');
    assert.equal(meter.count('download', 'x', 1000, 290)?.secondsLeft, 0, 'but at the end');
  });

  it('forgets what was more than five seconds ago', () => {
    let time = 0;
    const meter = new ProgressMeter(1e6, () => time);
    for (time = 1000; time <= 5000; time += 1000) meter.count('download', 'x', time, 1000);
    let rate: number | undefined;
    for (; time <= 20_000; time += 1000) rate = meter.count('download', 'x', time, 10)?.bytesPerSecond;
    assert.equal(rate, 10);
  });

  it('says nothing of the time left before anything came', () => {
    assert.equal(new ProgressMeter(1000).count('verify', 'x', 500, 0)?.secondsLeft, null);
  });

  it('numbers for people', () => {
    assert.deepEqual([0, 999, 1000, 999_500, 271_000_000, 1.54e9, 26e9].map(formatBytes), [
      '0 B',
      '999 B',
      '1.0 kB',
      '1.0 MB',
      '271 MB',
      '1.5 GB',
      '26 GB',
    ]);
    assert.deepEqual([0, 45, 180, 7500].map(formatSeconds), ['0 s', '45 s', '3 min', '2 h 5 min']);
  });
});
