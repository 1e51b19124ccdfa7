/** What to say when the Hub or a download fails, and the ways out to offer as buttons. */
import { formatBytes } from '../../hub/format.ts';
import { HubError } from '../../hub/hubError.ts';
import { messageOf, UserError } from '../../protocol/errors.ts';

export type WayOut =
  'open-page' | 'give-token' | 'forget-token' | 'retry' | 'remove-models' | 'choose-another' | 'show-log';

export interface Explanation {
  /** `info`: a state and no failure, such as offline. */
  severity: 'info' | 'warning' | 'error';
  message: string;
  /** Asked at once and for good: it comes right after the user's choice. */
  modal: boolean;
  ways: { label: string; way: WayOut }[];
}

export interface FailedDownload {
  /** For people. */
  name: string;
  repository: string;
  endpoint: string;
  hasToken: boolean;
  /** What was still to come, and what the disk had room for; null: not known. */
  neededBytes: number | null;
  freeBytes: number | null;
}

/** Kept free beside a download, as the download itself does. */
const reserveBytes = 100e6;

const labels: Record<WayOut, string> = {
  'open-page': "Open the Model's Page",
  'give-token': 'Enter an Access Token',
  'forget-token': 'Forget the Token',
  retry: 'Try Again',
  'remove-models': 'Remove a Model',
  'choose-another': 'Choose Another',
  'show-log': 'Show Log',
};

/** The message and the buttons for an error of a download. */
export function explain(error: unknown, about: FailedDownload): Explanation {
  const { name, repository, endpoint, hasToken } = about;
  const page = `${endpoint}/${repository}`;
  const make = (severity: Explanation['severity'], message: string, ...ways: WayOut[]): Explanation => ({
    severity,
    message,
    modal: error instanceof HubError && (error.problem === 'gated' || error.problem === 'unauthorized'),
    ways: ways.map((way) => ({ label: labels[way], way })),
  });
  if (!(error instanceof HubError)) {
    return error instanceof UserError
      ? make('error', error.message, 'retry', 'choose-another')
      : make('error', messageOf(error), 'retry', 'show-log');
  }
  switch (error.problem) {
    case 'gated':
      return hasToken
        ? make(
            'warning',
            `The account of your access token has no access to ${repository} yet. Open its page, accept the licence there (some owners answer after a while), then try again. A fine-grained token also needs the right to read gated repositories.`,
            'open-page',
            'retry',
            'give-token',
          )
        : make(
            'warning',
            `${name} is gated: open its page and accept the licence, make an access token with the right to read at ${endpoint}/settings/tokens, then enter it. It is kept in VS Code's secret storage alone.`,
            'open-page',
            'give-token',
          );
    case 'unauthorized':
      return hasToken
        ? make(
            'error',
            `The Hub refused your access token for ${repository}: it may have expired or lack the right to read, or the repository does not exist (${page}).`,
            'give-token',
            'forget-token',
            'open-page',
          )
        : make(
            'error',
            `The Hub does not show ${repository} without an access token. Check the name (${page}); if it is private, enter a token.`,
            'open-page',
            'give-token',
            'choose-another',
          );
    case 'disk-full':
      return make('error', diskFull(name, about), 'remove-models', 'retry');
    case 'offline':
      return make(
        'info',
        `Offline: the Hub (${endpoint}) cannot be reached, so ${name} is not downloaded now. What has come is kept, and models on this machine still work.`,
        'retry',
        'choose-another',
      );
    case 'rate-limited':
      return make('warning', error.message, 'retry', ...(hasToken ? [] : (['give-token'] as const)));
    case 'not-found':
    case 'unsupported':
      return make('error', error.message, 'choose-another', 'open-page');
    case 'wrong-content':
    case 'server':
      return make('error', error.message, 'retry');
  }
}

function diskFull(name: string, { neededBytes, freeBytes }: FailedDownload): string {
  const advice = 'Free some room (or set HF_HOME to a folder on a larger disk), then try again: it goes on.';
  if (neededBytes === null || freeBytes === null) return `The disk is full: ${name} does not fit. ${advice}`;
  const missing = Math.max(0, neededBytes + reserveBytes - freeBytes);
  return (
    `The disk is full: ${formatBytes(missing)} are missing for ${name} (${formatBytes(neededBytes)} to download and ` +
    `${formatBytes(reserveBytes)} to spare, ${formatBytes(freeBytes)} free). ${advice}`
  );
}
