// What the administrator's forms and tables share.

import { byId, h } from "./dom.js";

/** A labelled input; the properties are those of the `<input>`. */
export function field(label, properties, help) {
  const { id } = properties;
  const described = help ? `${id}-help` : undefined;
  return h("div", { class: "field" },
    h("label", { for: id }, label),
    h("input", { type: "text", autocomplete: "off", name: id, "aria-describedby": described, ...properties }),
    help && h("p", { id: described, class: "quiet small" }, help));
}

/** A labelled choice of `[value, words]`. */
export function choice(label, id, options, chosen) {
  return h("div", { class: "field" }, h("label", { for: id }, label),
    h("select", { id, name: id }, options.map(([value, words]) => h("option", { value, selected: value === chosen }, words))));
}

/** A form that says where it failed; `act(values)` is given the text of each field. */
export function form(id, children, verb, act) {
  const error = h("p", { class: "field-error", role: "alert", hidden: true });
  const button = h("button", { class: "primary", type: "submit" }, verb);
  const whole = h("form", { id, class: "admin-form", novalidate: true }, h("div", { class: "fields" }, children), error, h("p", {}, button));
  whole.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.hidden = true;
    button.disabled = true;
    try {
      const values = Object.fromEntries([...new FormData(whole)].map(([name, value]) => [name, value.trim()]));
      await act(values, whole);
    } catch (fault) {
      error.textContent = [fault.message, fault.document?.hint].filter(Boolean).join(" ");
      error.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
  return whole;
}

/**
 * A table; numbers stand on the right in columns whose name begins with `>`. On a narrow page each row becomes a list
 * (see the style sheet), and the roles say that it is still a table.
 */
export function grid(caption, columns, rows) {
  const isRight = (name) => name.startsWith(">");
  const plain = (name) => name.replace(/^>/, "");
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: "admin-table", role: "table" },
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((name) =>
        h("th", { scope: "col", role: "columnheader", class: isRight(name) && "right" }, plain(name))))),
      h("tbody", { role: "rowgroup" }, rows.map((cells) => h("tr", { role: "row" }, cells.map((cell, at) => at === 0
        ? h("th", { scope: "row", role: "rowheader" }, cell)
        : h("td", { role: "cell", class: isRight(columns[at]) && "right", "data-column": plain(columns[at]) }, h("span", {}, cell))))))));
}

/** A button of a row; `about` names the row for those who do not see it. */
export function rowButton(verb, about, act) {
  return h("button", { type: "button", class: "small", onclick: act }, verb, h("span", { class: "unseen" }, ` ${about}`));
}

/**
 * Asks before something that cannot be undone; resolves with the values of the fields, which may be none, where it is
 * to be done, and else with undefined.
 */
export function confirmed(question, verb, ...fields) {
  return new Promise((resolve) => {
    const answer = h("form", { method: "dialog" }, fields,
      h("p", { class: "tools" },
        h("button", { value: "no", autofocus: true }, "Leave it"),
        h("button", { value: "yes", class: "danger" }, verb)));
    const dialog = h("dialog", { class: "card", "aria-labelledby": "confirm-question" },
      h("p", { id: "confirm-question" }, question), answer);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? Object.fromEntries(new FormData(answer)) : undefined);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Tells those who do not see the page what was done. */
export const said = (words) => (byId("status").textContent = words);

/** An amount as the service reads it: `$1,5` as somebody types it is `1.5`. */
export const amount = (text) => text.replace(/^\$/, "").replace(",", ".");
