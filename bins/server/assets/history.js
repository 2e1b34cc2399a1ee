// Earlier questions, newest first.

import * as api from "./api.js";
import { byId, h } from "./dom.js";
import { ago, money, moment } from "./format.js";

const WORDS = {
  ok: "answered", unverified: "not verified", failed: "no answer", refused: "refused", cancelled: "cancelled",
  interrupted: "interrupted", running: "running", queued: "waiting",
};

/** Shows the newest page; `open(id)` is called for a chosen one. */
export async function showHistory(open) {
  const list = h("ul", { class: "history-list" });
  const older = h("button", { type: "button", hidden: true }, "Older");
  const place = byId("history");
  let before;
  const load = async () => {
    const page = await api.analyses(before);
    before = page.next ?? undefined;
    list.append(...page.analyses.map((one) => entry(one, open)));
    older.hidden = !before;
  };
  await load();
  older.addEventListener("click", () => load().catch((fault) => older.replaceWith(h("p", { class: "quiet" }, fault.message))));
  place.replaceChildren(list.children.length > 0 ? list : h("p", { class: "quiet" }, "None yet. Your questions and their answers are kept here."), older);
}

function entry({ id, question, status, cost, created_at: created }, open) {
  const word = WORDS[status] ?? status;
  return h("li", {}, h("a", { href: `#a=${id}`, class: "entry", "data-id": id, onclick: (event) => (event.preventDefault(), open(id)) },
    h("span", { class: "entry-question" }, question ?? "A program of your own"),
    h("span", { class: "entry-facts quiet small" },
      h("span", { class: `dot ${status}`, "aria-hidden": "true" }), `${word} · `,
      h("time", { datetime: created, title: moment(created) }, ago(created)), ` · ${money(cost)}`)));
}
