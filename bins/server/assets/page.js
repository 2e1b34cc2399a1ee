// Wires the page: one question at a time, and everything around it.

import { answerCards, spoken } from "./answer.js";
import * as api from "./api.js";
import { budgetUnknown, showBudget } from "./budget.js";
import { showDataset } from "./data.js";
import { byId, h, place } from "./dom.js";
import { failureCard, fromProblem } from "./failure.js";
import { showHistory } from "./history.js";
import { signedIn } from "./session.js";
import { Progress, say } from "./steps.js";

const MOST_LOOKS_AT_DATA = 150;
const BUDGET_LOOK_MS = 15_000;

const form = byId("ask");
const question = byId("question");
const picker = byId("dataset");
const maxCost = byId("max-cost");
const progress = new Progress();
const known = new Map();
let looksAtData = 0;
let running;
let model;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(question.value);
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
question.addEventListener("input", () => fieldError(question, ""));
maxCost.addEventListener("input", () => fieldError(maxCost, ""));
picker.addEventListener("change", () => chooseDataset(picker.value));
byId("cancel").addEventListener("click", cancelRunning);
addEventListener("hashchange", openFromAddress);

signedIn().then(begin, begin);

/** Also where the service cannot be reached: each part says so itself. */
function begin({ role }) {
  if (role === "viewer") {
    byId("question-help").textContent = "Your key reads answers; asking needs one of an analyst.";
  }
  refreshDatasets();
  refreshBudget();
  refreshHistory();
  openFromAddress();
  // Others may spend from the same budget.
  setInterval(() => document.hidden || running || refreshBudget(), BUDGET_LOOK_MS);
}

function ask(text) {
  fieldError(question, "");
  question.value = text;
  if (text.trim() === "") {
    fieldError(question, "Write a question first, or choose one below.");
    return;
  }
  execute({ query: text }, { words: "Working on it", again: () => ask(text), question: text });
}

function askModel(text) {
  execute({ query: text, by: "model" }, { words: "Asking the model", again: () => askModel(text), question: text });
}

function runCode(code) {
  execute({ code }, { words: "Running your program", again: () => runCode(code) });
}

async function execute(request, { words, again, question: asked }) {
  const amount = readMaxCost();
  if (amount === undefined || running) return;
  if (amount !== "") request.max_cost = amount;
  if (picker.value && !picker.disabled) request.datasets = [picker.value];
  running = { abort: new AbortController() };
  setBusy(true);
  byId("answer").replaceChildren();
  progress.start(words);
  byId("cancel").focus();
  const on = {
    started: (id) => (running.id = id),
    step: (event) => {
      progress.step(event);
      if (event.step === "hold" && event.state === "done") refreshBudget();
    },
    output: (event) => progress.printed(event),
  };
  try {
    show(await api.execute(request, on, running.abort.signal), again);
  } catch (fault) {
    showFailure(fault, { again, question: asked });
  } finally {
    running = undefined;
    progress.end();
    setBusy(false);
    refreshBudget();
    refreshHistory();
  }
}

/** The service ends the program and says what it cost; only if it cannot be told, we hang up. */
async function cancelRunning() {
  const { id, abort } = running ?? {};
  byId("cancel").disabled = true;
  try {
    if (!id) throw new Error("not started yet");
    await api.cancel(id);
  } catch {
    abort?.abort();
  }
}

function show(result, again) {
  byId("answer").replaceChildren(...answerCards(result, { ask, again, run: runCode, askModel: model && askModel }));
  if (result.status === "ok" || result.status === "unverified") say(spoken(result));
  history.replaceState(null, "", `#a=${result.id}`);
  settleFocus();
}

function showFailure(fault, { again, question: asked }) {
  if (fault.name === "AbortError") {
    fault = new api.Problem({ type: "/problems/cancelled", title: "Cancelled", hint: "The program is being stopped; what it used until then is charged." });
  }
  if (!(fault instanceof api.Problem)) throw fault;
  const failure = fromProblem(fault);
  if (failure.kind === "bad_request" && failure.field) {
    fieldError(failure.field === "max_cost" ? maxCost : question, `${failure.message} ${failure.hint ?? ""}`);
    return;
  }
  byId("answer").replaceChildren(failureCard(failure, { question: asked, ask, again }));
  settleFocus();
}

/** Keyboard and screen reader go on where the answer is. */
function settleFocus() {
  const heading = byId("answer").querySelector("h2");
  heading?.focus({ preventScroll: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("answer").scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

async function openAnalysis(id) {
  try {
    const result = await api.analysis(id);
    const again = () => (result.question ? ask(result.question) : runCode(result.code));
    show(result, again);
    if (result.question) question.value = result.question;
  } catch (fault) {
    showFailure(fault, { again: () => openAnalysis(id) });
  }
}

function openFromAddress() {
  const id = /^#a=([\w-]+)$/.exec(location.hash)?.[1];
  if (id && byId("answer").querySelector(".answer")?.dataset.id !== id) openAnalysis(id);
}

async function refreshDatasets() {
  try {
    const { datasets, model: writer } = await api.datasets();
    model = writer;
    datasets.forEach((dataset) => known.set(dataset.version, dataset));
    const picked = picker.value;
    picker.replaceChildren(...datasets.map(({ name, version }) => h("option", { value: version }, nameOf(name, version, datasets))));
    picker.disabled = datasets.length === 0;
    if (datasets.some(({ typed }) => !typed) && looksAtData < MOST_LOOKS_AT_DATA) {
      looksAtData += 1;
      setTimeout(() => (refreshDatasets(), running || refreshBudget()), 2000);
    }
    const chosen = known.has(picked) ? picked : datasets[0]?.version;
    if (chosen) picker.value = chosen;
    if (chosen) chooseDataset(chosen);
    else place(byId("data"), h("p", {}, "There is no data yet. Start Meterbox with ", h("code", {}, "--data FOLDER"), "."));
  } catch (fault) {
    place(byId("data"), h("p", {}, fault.message, " ", fault.document?.hint));
  }
}

/** Versions of one dataset are told apart. */
function nameOf(name, version, datasets) {
  const unique = datasets.filter((other) => other.name === name).length === 1;
  return unique ? name : `${name} (${version.slice(0, 6)})`;
}

function chooseDataset(version) {
  const dataset = known.get(version);
  showDataset(dataset, model);
  byId("examples").hidden = dataset.examples.length === 0;
  byId("example-list").replaceChildren(...dataset.examples.map((example) =>
    h("li", {}, h("button", { type: "button", class: "chip", onclick: () => ask(example) }, example))));
}

async function refreshBudget() {
  try {
    showBudget(await api.metrics());
  } catch (fault) {
    budgetUnknown(fault.kind === "not_found" ? "No budget is set: nothing limits what is spent." : "The budget cannot be read now.");
  }
}

async function refreshHistory() {
  try {
    await showHistory(openAnalysis);
  } catch (fault) {
    place(byId("history"), h("p", { class: "quiet" }, fault.message));
  }
}

/** The amount as a text, empty for none; undefined where it is no amount. */
function readMaxCost() {
  const text = maxCost.value.trim().replace(/^\$/, "").replace(",", ".");
  if (text === "" || /^\d*\.?\d+$/.test(text)) return text;
  fieldError(maxCost, "Write an amount in dollars, such as 0.05, or leave it empty.");
  return undefined;
}

function fieldError(field, words) {
  const place = byId(`${field.id}-error`);
  place.textContent = words;
  place.hidden = words === "";
  if (words) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
  } else {
    field.removeAttribute("aria-invalid");
  }
}

function setBusy(busy) {
  byId("submit").disabled = busy;
  byId("cancel").disabled = false;
  byId("answer").setAttribute("aria-busy", String(busy));
}
