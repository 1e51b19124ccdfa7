import { UserError } from '../protocol/errors.ts';

/** What went wrong with the Hub or the download, for programs: VS Code asks for a token when it is `gated`. */
export type HubProblem =
  /** The licence must be accepted on the model's page, or a token given. */
  | 'gated'
  /** The token was refused or has no rights; or the repository is private. */
  | 'unauthorized'
  | 'not-found'
  | 'rate-limited'
  /** The Hub cannot be reached, or the user works offline. */
  | 'offline'
  | 'server'
  /** No room on the disk, before or during the download; what has come is kept. */
  | 'disk-full'
  /** The bytes are not those that the Hub's list promises; they were deleted. */
  | 'wrong-content'
  /** The repository has not the files that this program reads. */
  | 'unsupported';

export class HubError extends UserError {
  override readonly name: string = 'HubError';
  readonly problem: HubProblem;
  constructor(problem: HubProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

/** The error for an HTTP status that asking again does not mend. */
export function errorOfStatus(
  response: Response,
  about: { endpoint: string; repository: string; hasToken: boolean },
): HubError {
  const page = `${about.endpoint}/${about.repository}`;
  const code = response.headers.get('X-Error-Code') ?? '';
  const message = response.headers.get('X-Error-Message') ?? '';
  const gated = code === 'GatedRepo' || /gated|restricted|authorized list/i.test(message);
  switch (response.status) {
    case 401:
    case 403:
      if (gated) {
        return new HubError(
          'gated',
          about.hasToken
            ? `The account of your access token has no access to ${about.repository} yet: open ${page}, accept the licence there (some owners answer after a while), then try again. A fine-grained token also needs the right to read gated repositories.`
            : `${about.repository} is gated: open ${page}, accept the licence there, make an access token (read) at ${about.endpoint}/settings/tokens and give it: in the HF_TOKEN environment variable, or when VS Code asks.`,
        );
      }
      return new HubError(
        'unauthorized',
        about.hasToken
          ? `The Hub refused your access token for ${about.repository} (status ${response.status}): it may have expired, lack the right to read, or the repository may not exist. Check ${about.endpoint}/settings/tokens and ${page}.`
          : `The Hub does not show ${about.repository} without an access token: check the name (${page}); if it is private, give a token (HF_TOKEN, or when VS Code asks).`,
      );
    case 404:
      return new HubError(
        'not-found',
        code === 'RevisionNotFound'
          ? `${about.repository} has no such revision: see ${page} for its branches and commits.`
          : code === 'EntryNotFound'
            ? `A file of ${about.repository} is not on the Hub any more: try again.`
            : `There is no repository ${about.repository} at ${about.endpoint}: check the name (owner/name).`,
      );
    default:
      return new HubError(
        'server',
        `The Hub answered with status ${response.status} for ${about.repository}${message === '' ? '' : ` (${message})`}: try again later.`,
      );
  }
}

/** The error for a Hub that gives no answer. */
export function offlineError(endpoint: string, detail: string): HubError {
  return new HubError(
    'offline',
    `The Hub (${endpoint}) cannot be reached${detail === '' ? '' : ` (${detail})`}. Models on this machine still work ("spring models" lists them); check the network, the proxy or HF_ENDPOINT and try again: what has been downloaded is kept.`,
  );
}
