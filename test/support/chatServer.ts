/** A chat server in OpenAI's protocol that always answers alike. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Three questions, as the augmentation prompt asks for them. */
export const threeQuestions = JSON.stringify(
  ['one', 'two', 'three'].map((word) => ({
    ...{ question: `What is number ${word}?`, answer: word, full_answer: `It is ${word}.` },
  })),
);

/** @returns its address up to and including the version, and what closes it */
export async function startChatServer(
  content: string,
  delayMs = 0,
): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      setTimeout(() => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ choices: [{ message: { content } }] }));
      }, delayMs);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
