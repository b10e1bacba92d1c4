// Requests to the gateway, with the operator's key where one was given. The key lives as long as the tab.

const KEY = "floodgate-key";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const key = () => sessionStorage.getItem(KEY);

export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

export function headers(more = {}) {
  const found = key();
  return found ? { Authorization: `Bearer ${found}`, ...more } : more;
}

/** The answer's JSON. Throws Problem: status 0 where the gateway can't be reached. */
export async function get(path) {
  return read(await send(path, { headers: headers() }));
}

export async function post(path, body) {
  return read(await send(path, { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body) }));
}

/** Post text as it is; answers also what is no success: {status, body, correlationId}. */
export async function postText(path, text) {
  const answer = await send(path, { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: text });
  return { status: answer.status, body: await answer.json(), correlationId: answer.headers.get("x-correlation-id") };
}

async function send(path, options) {
  try {
    return await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new Problem(0, "The gateway can't be reached");
  }
}

async function read(answer) {
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const detail = body.detail ?? (body.problems ?? []).join("; ");
  throw new Problem(answer.status, detail || answer.statusText);
}

/** What a person can do about it. */
export function explain(problem) {
  if (problem.status === 401) return "This needs a key: press Key above and enter one.";
  if (problem.status === 403) return `This key may not do that. ${problem.message}`;
  return problem.message;
}
