// API keys: made, shown once, replaced, revoked.

import * as api from "./api.js";
import { choice, confirmed, field, form, grid, rowButton, said } from "./admin-form.js";
import { byId, h, place } from "./dom.js";
import { calendarDay, moment } from "./format.js";
import { signedIn } from "./session.js";

const COLUMNS = ["Name", "Role", "Whose budgets pay", "State", "Expires", "Last used", "Change"];
const ROLES = [["viewer", "viewer: reads"], ["analyst", "analyst: also asks"], ["admin", "admin: also administers"]];
const GRACES = [["0", "not at all"], ["3600", "for an hour"], ["86400", "for a day"], ["604800", "for a week"], ["2592000", "for 30 days"]];
const TIMES = [["30", "30 days"], ["90", "90 days"], ["365", "a year"], ["", "never"]];

export async function showKeys(place_, refresh) {
  const { keys } = await api.keys();
  const table = keys.length > 0
    ? grid("API keys", COLUMNS, keys.map((key) => row(key, refresh)))
    : h("p", {}, "There are no keys: whoever sits at this machine may do everything, others nothing. From the first key on, one is needed.");
  // A new key that is still shown, and a form that somebody is filling in, stay.
  if (byId("key-form")) place_.querySelector(".key-table").replaceChildren(table);
  else place(place_, h("div", { id: "new-key", role: "status" }), h("div", { class: "key-table" }, table), maker(refresh, keys.length === 0));
}

function row(key, refresh) {
  const { id, name, role, scopes, state, expires_at: expires, last_used_at: used, replaced_by: replacement } = key;
  const change = state === "revoked" ? "–" : h("span", { class: "row-tools" },
    rowButton("Replace", name, () => rotate(key, refresh)), rowButton("Revoke", name, () => revoke(key, refresh)));
  return [
    [name, h("code", { class: "block quiet" }, `mbx_${id}_…`)], role, scopes.map((scope) => h("code", { class: "block" }, scope)),
    [h("span", { class: `state ${state}` }, state), replacement && h("span", { class: "quiet small block" }, `replaced by mbx_${replacement}_…`)],
    // The end of a grace period may be an hour away.
    expires ? (replacement && state === "active" ? moment(expires) : calendarDay(expires)) : "never", used ? `about ${moment(used)}` : "not yet", change,
  ];
}

function maker(refresh, isFirst) {
  return h("details", { id: "key-details", open: isFirst }, h("summary", {}, "Make a key"), form("key-form", [
    field("Name", { id: "key-name", placeholder: "laptop of Ana", required: true }),
    field("Whose budgets pay", { id: "key-scopes", placeholder: "user/ana org/acme", spellcheck: "false", required: true },
      "one user, and the groups they are in, with spaces between"),
    choice("Role", "key-role", ROLES, isFirst ? "admin" : "analyst"),
    choice("Expires after", "key-days", TIMES, "90"),
  ], "Make the key", async (values, whole) => {
    const days = values["key-days"];
    const created = await api.createKey({
      name: values["key-name"], role: values["key-role"], scopes: values["key-scopes"].split(/[\s,]+/).filter(Boolean),
      expires_in_days: days === "" ? null : Number(days),
    });
    whole.reset();
    byId("key-details").open = false;
    showOnce(created);
    // The first key closes the door; whoever made it goes on with it.
    if (isFirst) await api.signIn(created.secret).then(signedIn);
    refresh();
  }));
}

/** The only time a key is seen. Nothing else on the page keeps it. */
function showOnce({ secret, key }) {
  const copied = h("span", { class: "quiet small", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(secret);
      copied.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(byId("new-key-secret"));
      copied.textContent = "Press Ctrl+C to copy it.";
    }
  };
  place(byId("new-key"), h("div", { class: "note new-key" },
    h("h3", {}, `The key of ${key.name}`),
    h("p", {}, "This is the only time it is shown. Keep it where passwords are kept."),
    h("p", {}, h("code", { id: "new-key-secret", class: "secret" }, secret)),
    h("p", { class: "tools" }, h("button", { type: "button", onclick: copy }, "Copy"),
      h("button", { type: "button", onclick: () => place(byId("new-key")) }, "I have it; hide it"), copied)));
  byId("keys-heading").focus();
}

async function rotate({ id, name }, refresh) {
  const chosen = await confirmed(`Replace the key ${name} by a new one of the same rights?`, "Replace it",
    choice("The old key still works", "grace", GRACES, "0"));
  if (!chosen) return;
  await attempt(async () => showOnce(await api.rotateKey(id, Number(chosen.grace))));
  refresh();
}

async function revoke({ id, name }, refresh) {
  if (!(await confirmed(`Revoke the key ${name}? It opens nothing from now on, and what it is asking just now is cancelled.`, "Revoke it"))) return;
  await attempt(async () => {
    await api.revokeKey(id);
    said(`The key ${name} is revoked.`);
  });
  refresh();
}

async function attempt(act) {
  try {
    await act();
  } catch (fault) {
    place(byId("new-key"), h("p", { class: "note stopped" }, fault.message));
  }
}
