// Who is signed in. Where a key is needed, asks for it; the service keeps it from scripts in a cookie.

import * as api from "./api.js";
import { byId, h, place } from "./dom.js";

const main = document.querySelector("main");

let entering;

/** Resolves with who is signed in, as soon as somebody is: `{ principal, groups, role, key }`. */
export const signedIn = () => (entering ??= enter().finally(() => (entering = undefined)));

// A session may end while the page is open.
addEventListener("signed-out", () => signedIn().catch(() => {}));

async function enter() {
  for (;;) {
    try {
      const who = await api.session();
      showWho(who);
      return who;
    } catch (fault) {
      if (fault.kind !== "unauthenticated") throw fault;
      await askForKey();
    }
  }
}

function askForKey() {
  main.hidden = true;
  place(byId("who"));
  const { promise, resolve } = Promise.withResolvers?.() ?? deferred();
  const input = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-help key-error" });
  const error = h("p", { id: "key-error", class: "field-error", role: "alert", hidden: true });
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const form = h("form", { class: "card sign-in", novalidate: true, onsubmit: submit },
    h("h1", {}, "Sign in"),
    h("div", { class: "field" }, h("label", { for: "key" }, "API key"), input,
      h("p", { id: "key-help", class: "quiet small" }, "It begins with ", h("code", {}, "mbx_"), ". An administrator makes one here, or at the machine with ",
        h("code", {}, "meterbox keys create"), "."), error),
    h("p", {}, button));
  place(byId("sign-in"), form);
  byId("sign-in").hidden = false;
  input.focus();
  return promise;

  async function submit(event) {
    event.preventDefault();
    error.hidden = true;
    button.disabled = true;
    try {
      await api.signIn(input.value);
      byId("sign-in").hidden = true;
      place(byId("sign-in"));
      main.hidden = false;
      resolve();
    } catch (fault) {
      error.textContent = fault.message;
      error.hidden = false;
      input.setAttribute("aria-invalid", "true");
      input.select();
      input.focus();
    } finally {
      button.disabled = false;
    }
  }
}

function showWho({ principal, role, key }) {
  const here = location.pathname;
  place(byId("who"),
    role === "admin" && (here === "/admin" ? h("a", { href: "/" }, "Questions") : h("a", { href: "/admin" }, "Administration")),
    key && h("span", { class: "quiet small who-name", title: `Key ${key.id} (${key.name}), ${role}` }, principal),
    key && h("button", { type: "button", class: "small", onclick: signOut }, "Sign out"));
}

async function signOut() {
  await api.signOut();
  location.assign("/");
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve) => (parts.resolve = resolve));
  return parts;
}
