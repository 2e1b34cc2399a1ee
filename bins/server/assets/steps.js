// What an analysis is doing, step by step, with time and cost.

import { byId, h } from "./dom.js";
import { duration, money } from "./format.js";

const NAMES = {
  import: "Read the data",
  hold: "Set money aside",
  program: "Write the program",
  screen: "Check the program",
  run: "Run it in the sandbox",
  check: "Check the answer",
  chart: "Draw the chart",
  settle: "Charge what was used",
  store: "Keep the result",
};
const STATES = { started: "under way", done: "done", failed: "failed" };
const SIGNS = { started: "", done: "✓", failed: "✕" };
const OUTPUT_SHOWN = 20_000;

export const stepName = (step) => NAMES[step] ?? step;

/** The panel of a running analysis. */
export class Progress {
  #panel = byId("progress");
  #list = byId("steps");
  #clock = byId("progress-clock");
  #output = byId("live-output");
  #outputText = byId("live-output-text");
  #items = new Map();
  #timer;

  start(words) {
    byId("progress-heading").textContent = words;
    this.#items.clear();
    this.#list.replaceChildren();
    this.#outputText.textContent = "";
    this.#output.hidden = true;
    this.#panel.hidden = false;
    const began = performance.now();
    const tick = () => (this.#clock.textContent = duration(Math.max(1, performance.now() - began)));
    tick();
    clearInterval(this.#timer);
    this.#timer = setInterval(tick, 100);
    say(words);
  }

  step({ step, state, detail, elapsed_ms: elapsed, cost }) {
    const known = this.#items.get(step);
    const item = h("li", { class: `step ${state}` },
      h("span", { class: "step-sign", "aria-hidden": "true" }, SIGNS[state]),
      h("span", { class: "step-name" }, stepName(step), h("span", { class: "unseen" }, `, ${STATES[state]}`)),
      h("span", { class: "step-detail quiet" }, detail),
      h("span", { class: "step-figures quiet number" }, [cost ? money(cost) : "", duration(elapsed)].filter(Boolean).join(" · ")));
    if (known) known.replaceWith(item);
    else this.#list.append(item);
    this.#items.set(step, item);
    if (state !== "done") say(`${stepName(step)}: ${STATES[state]}`);
  }

  /** The program printed something; only the end of much is kept. */
  printed({ text }) {
    this.#output.hidden = false;
    this.#outputText.textContent = (this.#outputText.textContent + text).slice(-OUTPUT_SHOWN);
  }

  end() {
    clearInterval(this.#timer);
    this.#panel.hidden = true;
  }
}

/** Says something to readers who cannot see the page change. */
export function say(words) {
  byId("status").textContent = words;
}
