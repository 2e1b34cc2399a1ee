// Who administered what, newest first.

import * as api from "./api.js";
import { grid } from "./admin-form.js";
import { h, place } from "./dom.js";
import { moment } from "./format.js";

const COLUMNS = ["When", "Who", "From", "What", "To", "Change", "Outcome"];

export async function showAudit(place_) {
  let { entries, next } = await api.audit();
  const older = h("button", { type: "button", onclick: more }, "Older");
  draw();

  async function more() {
    const page = await api.audit(next);
    entries = [...entries, ...page.entries];
    next = page.next;
    draw();
  }

  function draw() {
    if (entries.length === 0) return place(place_, h("p", { class: "quiet" }, "Nothing was administered yet."));
    older.hidden = !next;
    return place(place_, grid("Audit log", COLUMNS, entries.map(row)), h("p", {}, older));
  }
}

function row({ at, actor, origin, act, target, before, after, outcome, reason }) {
  return [
    h("time", { datetime: at, class: "whole" }, moment(at)), actor, origin, h("code", {}, act), h("code", {}, target),
    changes(before ?? {}, after ?? {}), h("span", { class: `state ${outcome}` }, reason ? `${outcome}: ${reason}` : outcome),
  ];
}

/** Only what differs. */
function changes(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const shown = (value) => (value === undefined || value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const differing = names.filter((name) => JSON.stringify(before[name] ?? null) !== JSON.stringify(after[name] ?? null));
  return h("ul", { class: "changes small" }, differing.map((name) =>
    h("li", {}, h("span", { class: "quiet" }, `${name} `), shown(before[name]), " → ", shown(after[name]))));
}
