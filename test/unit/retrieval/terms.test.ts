import assert from 'node:assert/strict';
import {
  identifierTerms,
  matchExpression,
  queryTerms,
  searchableText,
} from '../../../src/retrieval/search/terms.ts';

describe('search terms', () => {
  it('of names are their parts and the whole, whatever the style', () => {
    for (const name of [
      'maxRetryCount',
      'max_retry_count',
      'max-retry-count',
      'max.retry.count',
      'MAX_RETRY_COUNT',
    ]) {
      const terms = new Set(queryTerms(name));
      for (const term of ['max', 'retry', 'count', 'maxretrycount'])
        assert.ok(terms.has(term), `${name}: ${term}`);
    }
    assert.deepEqual(identifierTerms('XMLHttpRequest'), ['xml', 'http', 'request']);
  });
  it('of versions keep the places of their points', () => {
    const whole = (text: string) => identifierTerms(text).at(-1);
    assert.notEqual(whole('1.23'), whole('12.3'));
    assert.equal(whole('version 19.28.6 of'), whole('19.28.6.'));
  });
  it('of paths have the file name as a whole', () => {
    assert.ok(identifierTerms('see src/retrieval/search.ts, please').includes('searchts'));
  });
  it('leave out words that ask, unless there are no others', () => {
    assert.deepEqual(queryTerms('Which version of Brinnu is current?'), ['version', 'brinnu', 'current']);
    assert.deepEqual(queryTerms('What is it?'), ['what', 'is', 'it']);
  });
  it('of text without spaces are pairs of characters', () => {
    assert.equal(searchableText('数据库'), ' 数据 据库 库 ');
    assert.deepEqual(queryTerms('数据库'), ['数据', '据库']);
  });
  it('make no operators of quotes and operators', () => {
    assert.equal(
      matchExpression(queryTerms('"foo" AND (bar* NEAR baz)')),
      '"foo" OR "bar" OR "near" OR "baz"',
    );
    assert.deepEqual(queryTerms('"" * ( ) - ^ :'), []);
  });
});
