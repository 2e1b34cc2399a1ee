// Budgets: what they allow, how much of it is gone, and where that leads.

import * as api from "./api.js";
import { amount, confirmed, field, form, grid, rowButton, said } from "./admin-form.js";
import { byId, h, place } from "./dom.js";
import { calendarDay, moment, money } from "./format.js";

const COLUMNS = ["Whose", ">Limit", ">Spent", ">Held", ">Left", "Used", "State", "Starts anew", "At this rate", "Change"];
const MOST_FORECASTS = 40;
/** The budget that was put into the form, and as what: only what is made otherwise there is to change. */
let filled = { scope: "", values: {} };

export async function showBudgets(place_, refresh) {
  const { budgets } = await api.budgets();
  if (!budgets.some(({ scope }) => scope === filled.scope)) filled = { scope: "", values: {} };
  const forecasts = await Promise.all(budgets.slice(0, MOST_FORECASTS).map(({ scope, status }) =>
    status ? api.forecast(scope).catch(() => undefined) : undefined));
  const rows = budgets.map((budget, at) => row(budget, forecasts[at], refresh));
  const table = budgets.length > 0 ? grid("Budgets", COLUMNS, rows) : h("p", {}, "No budget is defined: nothing may be spent.");
  // A form that somebody is filling in stays as it is.
  if (byId("budget-form")) place_.querySelector(".budget-table").replaceChildren(table);
  else place(place_, h("div", { class: "budget-table" }, table), editor(refresh));
}

function row(budget, forecast, refresh) {
  const { scope, limit, window, status, setting } = budget;
  const name = [h("code", {}, scope), h("span", { class: "quiet small block" }, scope.endsWith("/*") ? `each of them, ${window}` : window),
    setting && h("span", { class: "quiet small block" }, setting.edited
      ? ["edited; ", h("code", {}, setting.name), ` says ${money(setting.limit)}`]
      : ["as ", h("code", {}, setting.name), " says"])];
  const change = h("span", { class: "row-tools" },
    rowButton("Edit", scope, () => edit(budget)),
    status && rowButton("Top up", scope, () => topUp(scope, refresh)),
    // What a setting makes would be there again at the next start.
    !setting && rowButton("Remove", scope, () => remove(scope, refresh)));
  if (!status) return [name, money(limit), "–", "–", "–", "–", "–", "–", "–", change];
  return [
    name, money(status.limit), money(status.spent), money(status.held), money(status.remaining), bar(status),
    h("span", { class: `state ${status.state}` }, status.state), status.resets_at ? calendarDay(status.resets_at) : "never",
    outlook(forecast), change,
  ];
}

/** Spent solid, set aside hatched: as on the page of those who ask. */
export function bar({ spent, held, limit, state = "" }) {
  const share = (part) => `${limit > 0 ? Math.min(100, (100 * part) / limit) : 0}%`;
  const drawn = h("span", { class: `budget-bar ${state}`, role: "img", "aria-label": `${money(spent)} spent and ${money(held)} held of ${money(limit)}` },
    h("span", { class: "part spent" }), h("span", { class: "part held" }));
  drawn.children[0].style.width = share(spent);
  drawn.children[1].style.width = share(held);
  return drawn;
}

function outlook(forecast) {
  if (!forecast) return "–";
  const { per_hour: rate, projected, limit_reached_at: reached, spike } = forecast;
  return h("span", { class: "small" },
    `${money(rate)} an hour`,
    projected !== null && h("span", { class: "block quiet" }, `${money(projected)} by its end`),
    reached && h("span", { class: "block warned-text" }, `limit reached ${moment(reached)}`),
    spike.is_spike && h("span", { class: "block warned-text" }, `just became faster: ${money(spike.recent)}, usually ${money(spike.expected)}`));
}

function editor(refresh) {
  return h("details", { id: "budget-details" }, h("summary", {}, "Define or change a budget"), form("budget-form", [
    field("Whose", { id: "scope", placeholder: "user/ana", spellcheck: "false", required: true }, "user/ana, or org/* for each organisation"),
    field("Limit in dollars", { id: "limit", inputmode: "decimal", required: true }, "0 stops all spending"),
    field("Window", { id: "window", placeholder: "month UTC", spellcheck: "false" }, "day Europe/Berlin, rolling 24h, lifetime; fixed once defined"),
    field("Warn from, in percent", { id: "warn", inputmode: "numeric", placeholder: "80" }),
    field("Degrade from, in percent", { id: "degrade", inputmode: "numeric", placeholder: "95" }, "cheaper models"),
    field("Do without from, in percent", { id: "without", inputmode: "numeric", placeholder: "97" }, "no pictures of charts"),
    field("Squeeze from, in percent", { id: "squeeze", inputmode: "numeric", placeholder: "98" }, "one analysis at a time"),
    field("Carry over at most", { id: "carry", inputmode: "decimal", placeholder: "0" }, "of what a period leaves, in dollars"),
  ], "Save the budget", async ({ scope, ...values }, whole) => {
    const known = filled.scope === scope ? filled.values : {};
    const changed = Object.entries(values).filter(([id, value]) => value !== known[id]);
    // Which never changes, so that nobody undoes it; of a budget that somebody removed meanwhile it is part of what is seen.
    const { window } = values;
    const { limit, warn, degrade, without, squeeze, carry } = Object.fromEntries(changed);
    const percent = { warn_percent: warn, degrade_percent: degrade, features_off_percent: without, squeeze_percent: squeeze };
    const given = Object.entries(percent).filter(([, value]) => value);
    const caps = Object.fromEntries(given.map(([name, value]) => [name, Number(value)]));
    await api.setBudget({ scope, soft_caps: caps, ...(limit && { limit: amount(limit) }), ...(window && { window }), ...(carry && { carry_over: amount(carry) }) });
    whole.reset();
    filled = { scope: "", values: {} };
    byId("budget-details").open = false;
    said(`The budget of ${scope} is saved.`);
    refresh();
  }));
}

function edit({ scope, limit, window, soft_caps: caps, carry_over: carry }) {
  byId("budget-details").open = true;
  const values = { limit, window, warn: caps.warn_percent, degrade: caps.degrade_percent,
    without: caps.features_off_percent, squeeze: caps.squeeze_percent, carry };
  filled = { scope, values: Object.fromEntries(Object.entries(values).map(([id, value]) => [id, String(value)])) };
  for (const [id, value] of Object.entries({ scope, ...filled.values })) byId(id).value = value;
  byId("limit").focus();
  byId("limit").select();
}

async function topUp(scope, refresh) {
  const dialog = h("dialog", { class: "card", "aria-labelledby": "top-up-heading" },
    h("h2", { id: "top-up-heading" }, "Top up ", h("code", {}, scope)),
    form("top-up-form", [
      field("Amount in dollars", { id: "top-up-amount", inputmode: "decimal", required: true, autofocus: true }),
      field("What for", { id: "top-up-note", placeholder: "top-up" }),
    ], "Add it once", async (values) => {
      const note = values["top-up-note"];
      await api.topUp(scope, { amount: amount(values["top-up-amount"]), ...(note && { note }) });
      dialog.close();
      said(`${scope} is topped up.`);
      refresh();
    }),
    h("button", { type: "button", onclick: () => dialog.close() }, "Leave it"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

async function remove(scope, refresh) {
  if (!(await confirmed(`Remove the budget of ${scope}? What was spent stays in the ledger; what has no budget may not spend.`, "Remove it"))) return;
  await api.removeBudget(scope).catch((fault) => said(fault.message));
  said(`The budget of ${scope} is removed.`);
  refresh();
}
