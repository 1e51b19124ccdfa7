/** What one document may cost. */

const megabyte = 1024 * 1024;

/** Milliseconds to read one document. */
export const longestReadMs = 10_000;

/** Memory of the process that reads documents, the program itself (some 80 MB) included. */
export const readerMemoryBytes = 500 * megabyte;

/** Of that, what JavaScript objects may take, in megabytes. */
export const readerHeapMegabytes = 380;
