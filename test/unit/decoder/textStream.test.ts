import assert from 'node:assert/strict';
import { TextStream } from '../../../src/decoder/textStream.ts';

/** One token per byte of UTF-8. */
const decodeBytes = (ids: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(ids));

function stream(text: string, stops: string[] = []): { pieces: string[]; stream: TextStream } {
  const result = new TextStream(decodeBytes, stops);
  const pieces: string[] = [];
  for (const byte of new TextEncoder().encode(text)) {
    if (!result.stopped) pieces.push(result.push(byte));
  }
  pieces.push(result.finish());
  return { pieces, stream: result };
}

describe('text stream', () => {
  it('gives whole characters only', () => {
    const { pieces } = stream('aé漢🙂b');
    assert.deepEqual(
      pieces.filter((piece) => piece !== ''),
      ['a', 'é', '漢', '🙂', 'b'],
    );
    assert.equal(pieces.join(''), 'aé漢🙂b');
  });

  it('a character that stays incomplete comes out at the end', () => {
    const broken = new TextStream(decodeBytes);
    assert.equal(broken.push(0x61), 'a');
    assert.equal(broken.push(0xf0), '');
    assert.equal(broken.finish(), '\uFFFD');
  });

  it('ends before a stop string and never shows a part of it', () => {
    const { pieces, stream: result } = stream('one\nQues two\nQuestion: x', ['\nQuestion']);
    assert.equal(result.text, 'one\nQues two');
    assert.ok(result.stopped);
    assert.equal(pieces.join(''), 'one\nQues two');
  });

  it('the earliest of several stop strings wins; an empty one is ignored', () => {
    assert.equal(stream('a.b,c', [',', '.', '']).stream.text, 'a');
  });

  it('text held back for a stop string that does not come is given out at the end', () => {
    const { pieces, stream: result } = stream('end\nQ', ['\nQuestion']);
    assert.equal(pieces.at(-1), '\nQ');
    assert.equal(result.text, 'end\nQ');
    assert.ok(!result.stopped);
  });
});
