// JSON over fetch: typed errors (problem+json), server clock from the answers.

/** An answer that is not 2xx. `status` 0: there was no answer at all. */
export class HttpError extends Error {
  constructor(status, problem, retryAfterMs) {
    super(problem?.detail ?? problem?.title ?? (status === 0 ? 'The server does not answer.' : `The server answered ${status}.`));
    this.status = status;
    this.hint = problem?.hint ?? null;
    this.retryAfterMs = retryAfterMs;
  }
}

/** GET as JSON. `clock` (optional) learns from the Date header of answers that no cache gave. */
export async function getJson(url, { signal, clock, fresh = false } = {}) {
  const sentAt = Date.now();
  let answer;
  try {
    answer = await fetch(url, { signal, headers: { accept: 'application/json' }, cache: fresh ? 'no-store' : 'default' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new HttpError(0, null, null);
  }
  if (clock && fresh && !(Number(answer.headers.get('age')) > 0)) {
    clock.observe(answer.headers.get('date'), sentAt, Date.now());
  }
  const body = await answer.json().catch((error) => {
    if (error.name === 'AbortError') throw error;
    return null;
  });
  if (!answer.ok) {
    const seconds = Number(answer.headers.get('retry-after'));
    throw new HttpError(answer.status, body, Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null);
  }
  if (body === null) throw new HttpError(answer.status, { detail: 'The answer is not JSON.' }, null);
  return body;
}

/** `/api/v1/events/{e}/board` + suffix with the parameters that have a value. */
export function boardUrl(event, suffix, parameters) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== '') query.set(key, String(value));
  }
  const text = query.toString();
  return `/api/v1/events/${encodeURIComponent(event)}/board${suffix}${text ? `?${text}` : ''}`;
}
