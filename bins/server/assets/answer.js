// One answer: reading, figures, chart, table, program, cost.

import * as api from "./api.js";
import { chart } from "./chart.js";
import { h, plural, prose } from "./dom.js";
import { failureCard, fromResult } from "./failure.js";
import { bytes, columnFormat, day, duration, isNumeric, money, moment, plain, sentence, toNumber, withUnit, words } from "./format.js";
import { stepName } from "./steps.js";
import { resultTable } from "./table.js";

const SOURCES = {
  rules: ["Built-in planner", "Written by fixed rules, without a language model."],
  model: ["Language model", "Written by a language model."],
  saved: ["Saved program", "An earlier program, run again."],
  code: ["Your program", "Written by you."],
};

/** Cards for a finished analysis. `actions`: `ask(question)`, `again()`, `run(code)`, and `askModel(question)` where there is one. */
export function answerCards(result, actions) {
  const failed = result.failure && result.status !== "ok" && result.status !== "unverified";
  return [
    failed && failureCard(fromResult(result), { question: result.question, ask: actions.ask, again: actions.again }),
    (result.answer || result.code || !failed) && card(result, actions, failed),
  ].filter(Boolean);
}

function card(result, actions, failed) {
  const { answer } = result;
  const heading = result.reading?.text ?? result.question ?? "Result of your program";
  return h("article", { class: "card answer", "data-id": result.id, "data-status": result.status, "aria-labelledby": "answer-heading" },
    badges(result),
    h("h2", { id: "answer-heading", tabindex: "-1" }, failed ? "What was tried" : sentence(heading)),
    result.reading && !failed && result.question && h("p", { class: "asked quiet" }, "You asked: ", h("q", {}, result.question)),
    result.status === "unverified" && h("p", { class: "note warned" }, h("strong", {}, "Not verified. "),
      "A check could not confirm this answer; look at the warnings before you rely on it."),
    answer && !failed && figures(answer, heading, result.charts ?? []),
    readingNotes(result),
    otherWriter(result, actions),
    drawings(result),
    program(result, actions),
    printed(result.output),
    sent(result.egress),
    bill(result));
}

function badges(result) {
  const [name, title] = SOURCES[result.source] ?? [];
  return h("p", { class: "badges" },
    name && h("span", { class: "badge", title }, name),
    result.status === "unverified" && h("span", { class: "badge warned" }, "Not verified"),
    result.sandbox && h("span", { class: "badge plain" }, `Sealed: ${result.sandbox.provider}, ${result.sandbox.tier}`),
    h("time", { class: "quiet small", datetime: result.created_at }, moment(result.created_at)));
}

/** The answer itself. Nothing here is made up: each figure is a cell of the result. */
function figures(answer, caption, charts) {
  const drawn = charts.map((spec) => chart(spec, answer, caption));
  return h("div", { class: "figures" }, headline(answer), drawn, details(answer, caption));
}

function headline(answer) {
  if (answer.kind === "scalar") return keyFigure(answer.name, answer.value, { type: answer.type, unit: answer.unit, name: answer.name ?? "" });
  if (answer.kind !== "table" || answer.rows.length !== 1 || answer.columns.length > 4) return false;
  return h("div", { class: "key-figures" }, answer.columns.map((column, at) => keyFigure(words(column.name), answer.rows[0][at], column)));
}

function keyFigure(name, cell, column) {
  const number = isNumeric(column.type) ? toNumber(cell) : undefined;
  const format = columnFormat(column, [cell]);
  const shown = number === undefined ? format(cell) || "empty" : column.unit ? figureWithUnit(number, format(cell), column.unit) : format(cell);
  return h("p", { class: "key-figure" },
    h("span", { class: number === undefined ? "headline-text" : "headline-number", "data-value": JSON.stringify(cell) }, shown),
    name && h("span", { class: "quiet" }, words(name)));
}

const figureWithUnit = (number, written, unit) => (/^[A-Z]{3}$/.test(unit) ? withUnit(number, unit) : `${written} ${unit}`);

function details(answer, caption) {
  switch (answer.kind) {
    case "table":
      return answer.rows.length === 0 ? h("p", { class: "note" }, "No rows match.") : resultTable(answer, caption);
    case "text":
      return h("p", { class: "text-answer" }, answer.text);
    case "group":
      return Object.entries(answer.parts).map(([name, part]) =>
        h("section", { class: "part-answer" }, h("h3", {}, words(name)), headline(part), details(part, words(name))));
    default:
      return false;
  }
}

function readingNotes({ reading, warnings = [] }) {
  const notes = [
    reading?.assumptions?.length > 0 && h("div", {}, h("dt", {}, "Assumed"), reading.assumptions.map((text) => h("dd", {}, prose(sentence(text))))),
    reading?.ignored?.length > 0 && h("div", {}, h("dt", {}, "Words not used"), h("dd", {}, reading.ignored.map((word) => h("span", { class: "word" }, word)))),
    reading?.as_of && h("div", {}, h("dt", {}, "“Today” means"), h("dd", {}, day(reading.as_of))),
    warnings.length > 0 && h("div", { class: "warned" }, h("dt", {}, "To know"), warnings.map((text) => h("dd", {}, prose(sentence(text))))),
  ].filter(Boolean);
  return notes.length > 0 && h("dl", { class: "reading" }, notes);
}

/** Rules may have misread a question that a model reads rightly. */
function otherWriter({ source, question }, { askModel }) {
  if (!askModel || !question || source !== "rules") return false;
  return h("p", { class: "small" }, h("button", { type: "button", onclick: () => askModel(question) }, "Ask the model instead"),
    h("span", { class: "quiet" }, " It is paid from your budget."));
}

/** Files the program left; pictures are shown. */
function drawings({ id, artifacts = [], charts = [] }) {
  if (artifacts.length === 0) return false;
  const picture = (file) => file.media_type === "image/png";
  const own = artifacts.filter((file) => picture(file) && charts.length === 0);
  return h("div", { class: "files" },
    own.map((file) => h("img", { src: api.artifact(id, file.name), alt: `Picture the program drew: ${file.name}`, loading: "lazy" })),
    h("p", { class: "small" }, "Files: ", artifacts.map((file, at) =>
      [at > 0 && ", ", h("a", { href: api.artifact(id, file.name), download: file.name }, file.name), ` (${bytes(file.bytes)})`]).flat()));
}

function program({ code, generator }, { run }) {
  if (!code) return false;
  const view = h("pre", { class: "code", tabindex: "0" }, h("code", {}, code));
  const copy = h("button", { type: "button", onclick: () => copyText(code, copy) }, "Copy");
  const edit = h("button", { type: "button", onclick: () => startEditing() }, "Edit and run");
  const tools = h("div", { class: "tools" }, copy, edit, generator && h("span", { class: "quiet small" }, `Written by ${generator}`));
  const place = h("div", {}, tools, view);
  return h("details", { class: "program" }, h("summary", {}, "The program"), place);

  function startEditing() {
    const area = h("textarea", { class: "code", rows: Math.min(30, code.split("\n").length + 2), spellcheck: "false", "aria-label": "The program, to edit" });
    area.value = code;
    const start = h("button", { type: "button", class: "primary", onclick: () => run(area.value) }, "Run this program");
    const stop = h("button", { type: "button", onclick: () => (place.replaceChildren(tools, view), edit.focus()) }, "Discard changes");
    place.replaceChildren(area, h("div", { class: "tools" }, start, stop,
      h("span", { class: "quiet small" }, "Runs in the same sandbox under the same budget; no model is paid.")));
    area.focus();
  }
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy by hand";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

function printed(output) {
  return output && h("details", {}, h("summary", {}, "What the program printed"), h("pre", { tabindex: "0" }, output));
}

/** The exact words that went to another server, or to a model here. */
function sent(egress = []) {
  if (egress.length === 0) return false;
  return h("details", { class: "sent" }, h("summary", {}, `What was sent: ${plural(egress.length, "message")}`),
    egress.map(({ to, purpose, bytes: size, sha256, body }) => h("div", {},
      h("p", { class: "small" }, `${sentence(purpose)}: ${bytes(size)} to `, h("code", {}, to), h("span", { class: "quiet" }, ` · SHA-256 ${sha256.slice(0, 16)}…`)),
      body && h("pre", { tabindex: "0" }, readable(body)))));
}

/** The body of a request, a member a line and with its line breaks, for reading; what is no JSON stays as it is. */
function readable(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 1).replaceAll("\\n", "\n");
  } catch {
    return body;
  }
}

function bill(result) {
  const { cost, cost_lines: lines = [], hold, usage, timings = [], datasets = [], sandbox } = result;
  const took = timings.reduce((sum, { elapsed_ms: ms }) => sum + ms, 0);
  const estimated = lines.some((line) => line.estimated);
  const summary = [`Cost ${money(cost)}${estimated ? " (estimated)" : ""}`, took > 0 && duration(took)].filter(Boolean).join(" · ");
  return h("details", { class: "bill" },
    h("summary", {}, summary),
    lines.length > 0 && h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Cost by line" }, h("table", { class: "columns" }, h("caption", { class: "quiet small" }, `At most ${money(hold)} was set aside; what was not used is free again.`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "What"), h("th", { scope: "col", class: "right" }, "How much"), h("th", { scope: "col", class: "right" }, "Cost"))),
      h("tbody", {}, lines.map((line) => h("tr", {}, h("td", {}, line.item, line.estimated && " (estimated)"),
        h("td", { class: "right" }, `${line.quantity.toLocaleString()} ${line.unit}`), h("td", { class: "right" }, money(line.amount))))))),
    h("dl", { class: "facts small" },
      timings.length > 0 && fact("Time", timings.map(({ step, elapsed_ms: ms }) => `${stepName(step)} ${duration(ms)}`).join(" · ")),
      usage?.wall_ms > 0 && fact("The program used", `${duration(usage.cpu_ms)} of processor time, ${bytes(usage.peak_memory_bytes)} of memory`),
      datasets.length > 0 && fact("Data", datasets.map(({ name, version }) => `${name}, version ${version.slice(0, 12)}`).join("; ")),
      sandbox && Object.keys(sandbox.guarantees ?? {}).length > 0 && fact("Sealed by", Object.entries(sandbox.guarantees).map(([what, how]) => `${words(what)}: ${plain(how)}`).join("; ")),
      fact("Id", result.id)));
}

const fact = (name, text) => h("div", {}, h("dt", {}, name), h("dd", {}, text));

/** What a listener hears when the answer is there. */
export function spoken(result) {
  const { answer } = result;
  if (!answer) return "There is no answer.";
  if (answer.kind === "table") return `Answer: ${plural(answer.rows.length, "row")}.`;
  if (answer.kind === "scalar") return `Answer: ${plain(answer.value)} ${answer.unit ?? ""}`;
  return "The answer is there.";
}
