// The kill switch, and who spent how much on what.

import * as api from "./api.js";
import { bar } from "./admin-budgets.js";
import { confirmed, field, form, grid, said } from "./admin-form.js";
import { byId, h, place } from "./dom.js";
import { calendarDay, money, moment } from "./format.js";

const MOST_ROWS = 100;

export async function showStop(place_, refresh) {
  const { stopped } = await api.budgets();
  if (stopped) {
    const resume = async () => {
      if (!(await confirmed("Let spending go on?", "Let it go on"))) return;
      await api.resume();
      said("Spending may go on.");
      refresh();
    };
    place(place_, h("p", { class: "note stopped" }, h("strong", {}, "All spending is stopped"), ` since ${moment(stopped.since)}: ${stopped.reason}`),
      h("p", {}, h("button", { type: "button", id: "resume", onclick: resume }, "Let spending go on")));
    return;
  }
  if (byId("stop-form")) return;
  place(place_, h("p", {}, "Spending goes on. Stopping ends what runs, in every process, and refuses what is new."),
    form("stop-form", [field("Why", { id: "reason", required: true }, "Whoever is refused reads it.")], "Stop all spending", async ({ reason }) => {
      await api.stopAll(reason);
      said("All spending is stopped.");
      refresh();
    }));
}

export async function showSpending(place_) {
  const spending = await api.spending();
  const { total, since } = spending;
  const lead = h("p", {}, h("span", { class: "headline-number", id: "spending-total" }, money(total.spent)),
    h("span", { class: "block quiet" }, `spent${total.held > 0 ? `, and ${money(total.held)} held by what runs now` : ""}${since ? `, since ${calendarDay(since)}` : ""}`));
  if (total.count === 0) {
    place(place_, lead, h("p", { class: "quiet" }, "Nothing was asked yet."));
    return;
  }
  const whole = total.spent + total.held;
  place(place_, lead,
    h("div", { class: "share-tables" },
      shares("By person", "Person", spending.by_person, whole),
      shares("By purpose", "Purpose", spending.by_purpose, whole),
      spending.by_group.length > 0 && shares("By group", "Group", spending.by_group, whole)),
    h("p", { class: "quiet small" }, "Work counts as a whole when it began. The same money counts in each group of whoever spent it."));
}

function shares(caption, what, parts, whole) {
  const rows = parts.slice(0, MOST_ROWS).map(({ name, spent, held, count }) => [
    h("code", {}, name), money(spent), money(held), count.toLocaleString(), bar({ spent, held, limit: whole }),
  ]);
  return h("div", { class: "share-table" }, h("h3", {}, caption), grid(caption, [what, ">Spent", ">Held", ">Times", "Share"], rows));
}
