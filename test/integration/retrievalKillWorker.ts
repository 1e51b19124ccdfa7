/** Indexes a folder over and over while its files change: the process that retrievalKill.test.ts kills. */
import { openIndex } from '../../src/retrieval/workspaceIndex.ts';

const [indexFile, folder] = process.argv.slice(2) as [string, string];
using index = openIndex(indexFile);
const updates = index.update([folder]);
process.send?.('started');
while (!(await updates.next()).done) process.send?.('progress');
process.send?.('done');
