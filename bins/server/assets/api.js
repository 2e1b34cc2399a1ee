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

async function read(path) {
  const response = await send(path, { headers: { accept: "application/json" } });
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
