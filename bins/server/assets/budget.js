// What may still be spent.

import { byId, h, place } from "./dom.js";
import { calendarDay, money } from "./format.js";

const STATES = {
  warned: "Most of the budget is used.",
  degraded: "The budget is used up; the built-in planner still answers.",
  stopped: "The budget is used up.",
};

export function showBudget(metrics) {
  const { scope, remaining, spent, limit, state, held, resets_at: resets } = metrics;
  const purse = byId("purse");
  purse.hidden = false;
  purse.replaceChildren(h("span", { class: "number" }, money(remaining)), " left");
  const share = (part) => `${limit > 0 ? Math.min(100, (100 * part) / limit) : 0}%`;
  const bar = h("div", { class: `budget-bar ${state}`, "aria-hidden": "true" },
    h("div", { class: "part spent" }), h("div", { class: "part held" }));
  bar.children[0].style.width = share(spent);
  bar.children[1].style.width = share(held);
  const used = `${money(spent)} spent${held > 0 ? ` and ${money(held)} set aside` : ""} of ${money(limit)}`;
  place(byId("budget"),
    h("p", { class: "budget-left" }, h("span", { class: "headline-number", id: "budget-remaining" }, money(remaining)), ` left of ${money(limit)}`),
    bar,
    h("meter", {
      class: "unseen", id: "budget-meter", min: 0, max: limit, value: spent + held, "aria-label": "Budget used",
      "aria-valuetext": used, "data-spent": spent, "data-held": held, "data-remaining": remaining, "data-limit": limit,
    }, used),
    h("dl", { class: "legend-list small" },
      row("spent", "Spent", money(spent)),
      row("held", "Set aside now", money(held)),
      row("free", "Left", money(remaining))),
    STATES[state] && h("p", { class: `note ${state}` }, STATES[state]),
    h("p", { class: "quiet small" }, resets ? `Starts anew on ${calendarDay(resets)}. ` : "", "Budget of ", h("code", {}, scope), "."));
}

export function budgetUnknown(words) {
  byId("purse").hidden = true;
  place(byId("budget"), h("p", { class: "quiet" }, words));
}

function row(kind, name, amount) {
  return h("div", {}, h("dt", {}, h("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), name), h("dd", { class: "number" }, amount));
}
