// Talks to the service. Every failure arrives as a `Problem`.

/** A failure as the service states it (`application/problem+json`), or one of the network. */
export class Problem extends Error {
  constructor(document) {
    super(document.detail ?? document.title);
    this.document = document;
    this.kind = (document.type ?? "").split("/").pop().replaceAll("-", "_");
  }

  static unreachable() {
    return new Problem({
      type: "/problems/unreachable",
      title: "Meterbox cannot be reached",
      detail: "The page is open, but the Meterbox program behind it does not answer.",
      hint: "Start it again in a terminal, then ask once more. Nothing you typed is lost.",
    });
  }
}

export const datasets = () => read("/api/datasets");
export const metrics = () => read("/api/metrics");
export const analysis = (id) => read(`/api/analyses/${encodeURIComponent(id)}`);
export const analyses = (before, limit = 12) =>
  read(`/api/analyses?limit=${limit}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
export const artifact = (id, name) => `/api/analyses/${encodeURIComponent(id)}/artifacts/${encodeURIComponent(name)}`;
export const session = () => read("/api/session");
export const signIn = (key) => send("/api/session", json("POST", { key }));
export const signOut = () => send("/api/session", { method: "DELETE" });
export const cancel = (id) => send(`/api/analyses/${encodeURIComponent(id)}/cancel`, { method: "POST" });

/**
 * Runs one analysis. `on.started(id)`, `on.step(event)` and `on.output(event)` hear of it as it happens;
 * resolves with the result, rejects with a `Problem`.
 */
export async function execute(request, on, signal) {
  const response = await send("/api/execute", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify(request),
    signal,
  });
  const location = response.headers.get("content-location");
  if (location) on.started(location.split("/").pop());
  try {
    for await (const { event, data } of events(response.body)) {
      if (event === "result") return JSON.parse(data);
      if (event === "error") throw new Problem(JSON.parse(data));
      on[event]?.(JSON.parse(data));
    }
  } catch (fault) {
    throw fault instanceof Problem || fault.name === "AbortError" ? fault : Problem.unreachable();
  }
  throw Problem.unreachable();
}

/** A scope or an id as one segment of a path. */
const segment = (text) => encodeURIComponent(text);

export const budgets = () => read("/api/budget");
export const setBudget = (budget) => read("/api/budget", json("PUT", budget));
export const removeBudget = (scope) => send(`/api/budget/${segment(scope)}`, { method: "DELETE" });
export const topUp = (scope, topUp) => read(`/api/budget/${segment(scope)}/top-ups`, json("POST", topUp));
export const forecast = (scope) => read(`/api/budget/${segment(scope)}/forecast`);
export const spending = () => read("/api/spending");
export const stopAll = (reason) => read("/api/stop", json("PUT", { reason }));
export const resume = () => read("/api/stop", { method: "DELETE" });
export const keys = () => read("/api/keys");
export const createKey = (key) => read("/api/keys", json("POST", key));
export const rotateKey = (id, grace) => read(`/api/keys/${segment(id)}/rotate`, json("POST", { grace_seconds: grace }));
export const revokeKey = (id) => read(`/api/keys/${segment(id)}`, { method: "DELETE" });
export const audit = (before, limit = 20) => read(`/api/audit?limit=${limit}${before ? `&before=${before}` : ""}`);

const json = (method, body) => ({ method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

async function read(path, options = {}) {
  const response = await send(path, { ...options, headers: { accept: "application/json", ...options.headers } });
  return response.json();
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (fault) {
    throw fault.name === "AbortError" ? fault : Problem.unreachable();
  }
  if (response.ok) return response;
  if (response.status === 401) dispatchEvent(new Event("signed-out"));
  const document = await response.json().catch(() => ({}));
  throw new Problem({ title: `The service answered ${response.status}`, ...document });
}

/** The events of a `text/event-stream`. */
async function* events(body) {
  let pending = "";
  for await (const text of readAll(body.pipeThrough(new TextDecoderStream()))) {
    pending += text;
    const blocks = pending.split(/\r?\n\r?\n/);
    pending = blocks.pop();
    for (const block of blocks) {
      const message = { event: "message", data: [] };
      for (const line of block.split(/\r?\n/)) {
        const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (field === "event") message.event = value;
        if (field === "data") message.data.push(value);
      }
      if (message.data.length > 0) yield { event: message.event, data: message.data.join("\n") };
    }
  }
}

async function* readAll(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
