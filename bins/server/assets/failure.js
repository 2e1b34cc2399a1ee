// What went wrong, each kind told apart by its words, its sign and what it offers next.

import { h, prose } from "./dom.js";
import { calendarDay, money, moment, sentence } from "./format.js";

const TITLES = {
  budget: "The budget does not cover this",
  rate: "Too many questions in a short time",
  concurrency: "Too many questions at once",
  cannot_answer: "Not understood well enough to answer",
  ambiguous: "This can be read in more than one way",
  program_error: "The program stopped with an error",
  limit_wall: "The program ran too long",
  limit_cpu: "The program used too much processor time",
  limit_memory: "The program needed too much memory",
  limit_output: "The program wrote too much",
  bad_answer: "The program's result cannot be used",
  bad_data: "The data cannot be read",
  bad_request: "The question cannot be taken as it is",
  sandbox_unavailable: "No sandbox can be had on this machine",
  breaker_open: "The sandbox is resting after repeated failures",
  cancelled: "Cancelled",
  interrupted: "Meterbox stopped while this ran",
  unreachable: "Meterbox cannot be reached",
};

const SIGNS = {
  budget: "$",
  cannot_answer: "?",
  ambiguous: "?",
  sandbox_unavailable: "⊘",
  breaker_open: "‖",
  cancelled: "■",
  interrupted: "■",
  unreachable: "∅",
};

/** The kinds where something is amiss, not merely to be put another way. */
const CALM = new Set(["cannot_answer", "ambiguous", "cancelled", "budget"]);

/**
 * A card for one failure: `{ kind, title?, message, hint, retry_after?, suggestions?, not_understood?, … }`.
 * `ask(question)` is called for a suggestion, `again()` for another try.
 */
export function failureCard(failure, { question, ask, again }) {
  const { kind } = failure;
  const calm = CALM.has(kind);
  const heading = h("h2", { tabindex: "-1" }, TITLES[kind] ?? failure.title ?? "There is no answer");
  return h("section", { class: `card failure ${calm ? "calm" : "grave"}`, "data-kind": kind, role: calm ? "group" : "alert" },
    h("div", { class: "failure-head" }, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind] ?? "!"), heading),
    question && h("p", { class: "asked" }, marked(question, failure.not_understood ?? [])),
    kind === "budget" && budgetFacts(failure),
    kind !== "cancelled" && h("p", { class: kind === "budget" && failure.limit !== undefined && "quiet small" }, prose(sentence(failure.message))),
    failure.not_understood?.length > 0 && h("p", { class: "quiet small" },
      "Not understood: ", failure.not_understood.map((word, at) => [at > 0 && ", ", h("q", {}, word)]).flat()),
    failure.hint && h("p", { class: "hint" }, prose(sentence(failure.hint))),
    failure.suggestions?.length > 0 && suggestions(failure.suggestions, ask),
    retry(failure, again));
}

/** The same shape from a stored result's failure. */
export const fromResult = ({ failure }) => ({ ...failure, ...failure.budget });

/** The same shape from a problem document. */
export function fromProblem({ kind, document }) {
  const failure = document.analysis?.failure ?? {};
  return { ...failure, ...document, kind, message: document.detail ?? document.title ?? "" };
}

function budgetFacts({ remaining, limit, resets_at: resets }) {
  if (limit === undefined) return false;
  return h("p", {}, `${money(remaining)} of ${money(limit)} is left.`, resets && ` The budget starts anew on ${calendarDay(resets)}.`);
}

function suggestions(questions, ask) {
  return h("div", {}, h("p", { class: "quiet small" }, "This data can answer:"),
    h("ul", { class: "chips" }, questions.map((question) =>
      h("li", {}, h("button", { type: "button", class: "chip", onclick: () => ask(question) }, question)))));
}

/** A button that waits as long as the service asked for. */
function retry({ kind, retry_after: wait }, again) {
  if (!again || kind === "budget" || !(wait > 0 || kind === "unreachable" || kind === "cancelled" || kind === "interrupted")) return false;
  const button = h("button", { type: "button", onclick: again }, "Try again");
  if (!(wait > 0)) return h("p", {}, button);
  const due = Date.now() + wait * 1000;
  const clock = h("span", { class: "quiet small number" });
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((due - Date.now()) / 1000);
    button.disabled = left > 0;
    clock.textContent = left > 0 ? ` possible in ${left} s` : "";
    if (left > 0 && button.isConnected) setTimeout(tick, 500);
  };
  setTimeout(tick, 0);
  return h("p", {}, button, clock, h("span", { class: "unseen" }, ` possible from ${moment(due)}`));
}

/** The question, with the words that were not understood marked. */
function marked(question, unknown) {
  const strange = new Set(unknown.flatMap((phrase) => phrase.toLowerCase().split(/\s+/)));
  return question.split(/(\s+)/).map((word) =>
    strange.has(word.toLowerCase().replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "")) ? h("mark", {}, word) : word);
}
