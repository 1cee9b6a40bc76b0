// The server's addresses, one function each; what it refuses is an ApiError.

/** What the server refused: `fields` has a text for each bad field, by its path in the request. */
export class ApiError extends Error {
  constructor(status, error = {}) {
    super(error.message || `the server answered ${status}`);
    this.status = status;
    this.code = error.code || "";
    this.reason = error.reason || "";
    this.fields = error.fields || {};
    this.retryAfter = error.retryAfter ?? null;
  }
}

async function call(method, path, body) {
  const options = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(`api/${path}`, options);
  } catch {
    throw new ApiError(0, { message: "The server cannot be reached.", reason: "UNREACHABLE" });
  }
  const text = await answer.text();
  let told = {};
  try { told = text ? JSON.parse(text) : {}; } catch { /* not the server's own words */ }
  if (!answer.ok) throw new ApiError(answer.status, told.error);
  return told;
}

export const imageUrl = (job, index) => `api/jobs/${encodeURIComponent(job)}/images/${index}`;
export const eventsUrl = (job, after) =>
  `api/jobs/${encodeURIComponent(job)}/events?after=${after}&every_steps=1&max_edge=512`;

const at = (job, what = "") => `jobs/${encodeURIComponent(job)}${what}`;

export const models = () => call("GET", "models").then((told) => told.models || []);
export const submit = (request) => call("POST", "jobs", request);
export const estimate = (request) => call("POST", "estimate", request);
export const getJob = (job) => call("GET", at(job));
export const remove = (job) => call("DELETE", at(job));
export const cancel = (job) => call("POST", at(job, "/cancel"), {});
export const finish = (job) => call("POST", at(job, "/finish"), {});
export const fork = (job, request) => call("POST", at(job, "/fork"), request);

/** A page of jobs, the newest first: {jobs, nextPageToken}. */
export function list({ size = 50, token = "", state = "" } = {}) {
  const asked = new URLSearchParams({ page_size: size });
  if (token) asked.set("page_token", token);
  if (state) asked.set("state", state);
  return call("GET", `jobs?${asked}`).then((told) => ({ jobs: told.jobs || [], next: told.nextPageToken || "" }));
}

/** A picture's file, as a Blob. */
export async function imageFile(job, index) {
  const answer = await fetch(imageUrl(job, index));
  if (!answer.ok) throw new ApiError(answer.status, { message: "This picture is not stored any more." });
  return answer.blob();
}
