// Wires the administrator's page.

import { showAudit } from "./admin-audit.js";
import { showBudgets } from "./admin-budgets.js";
import { showKeys } from "./admin-keys.js";
import { showSpending, showStop } from "./admin-spending.js";
import { byId, h, place } from "./dom.js";
import { signedIn } from "./session.js";

const LOOK_MS = 15_000;
const parts = { stop: showStop, budgets: showBudgets, spending: showSpending, keys: showKeys, audit: showAudit };

signedIn().then(begin, (fault) => place(document.querySelector("main"), h("p", { class: "note" }, fault.message)));

function begin({ role }) {
  if (role !== "admin") {
    place(document.querySelector("main"), h("h1", {}, "Administration"),
      h("p", { class: "note" }, "This page needs the key of an administrator; yours is one of a ", role, ". ", h("a", { href: "/" }, "Ask a question"), " instead."));
    return;
  }
  refresh();
  // Others spend meanwhile; what somebody is typing is left alone.
  setInterval(() => document.hidden || refresh(["stop", "budgets", "spending"]), LOOK_MS);
}

/** Shows these parts anew; called after each act, so that every part is true. */
async function refresh(names = Object.keys(parts)) {
  await Promise.all(names.map(async (name) => {
    try {
      await parts[name](byId(name), refresh);
    } catch (fault) {
      place(byId(name), h("p", { class: "note stopped" }, fault.message));
    }
  }));
}
