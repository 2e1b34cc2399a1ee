// The result as a table that can be sorted.

import { h, plural } from "./dom.js";
import { columnFormat, isNumeric, toNumber, words } from "./format.js";

const FIRST_ROWS = 50;
const LONGEST_CELL = 400;

/** A table of an answer: `{ columns, rows, row_count, truncated }`. */
export function resultTable(answer, caption) {
  const { columns, rows } = answer;
  const formats = columns.map((column, at) => columnFormat(column, rows.map((row) => row[at])));
  const state = { by: undefined, descending: false, all: rows.length <= FIRST_ROWS };
  const body = h("tbody");
  const buttons = columns.map((column, at) =>
    h("button", { type: "button", class: "sort", onclick: () => sortBy(at) },
      h("span", {}, words(column.name)),
      column.unit && h("span", { class: "unit" }, column.unit),
      h("span", { class: "arrow", "aria-hidden": "true" })));
  const headers = columns.map((column, at) =>
    h("th", { scope: "col", class: isNumeric(column.type) && "right", "data-name": column.name }, buttons[at]));
  const table = h("table", { class: "result", "data-rows": rows.length },
    h("caption", {}, h("span", { class: "unseen" }, `${caption}: `), h("span", { class: "quiet" }, countOf(answer))),
    h("thead", {}, h("tr", {}, headers)),
    body);
  const more = h("button", { type: "button", onclick: () => showAll() }, `Show all ${plural(rows.length, "row")}`);
  draw();
  return h("div", { class: "table-block" },
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${caption}` }, table),
    !state.all && more);

  function sortBy(at) {
    state.descending = state.by === at ? !state.descending : isNumeric(columns[at].type);
    state.by = at;
    draw();
  }

  function showAll() {
    state.all = true;
    more.remove();
    draw();
  }

  function draw() {
    headers.forEach((header, at) => {
      if (state.by === at) header.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    });
    const sorted = state.by === undefined ? rows : [...rows].sort(comparison(columns[state.by], state));
    const shown = state.all ? sorted : sorted.slice(0, FIRST_ROWS);
    body.replaceChildren(...shown.map((row) => h("tr", {}, row.map((cell, at) => cellOf(cell, at)))));
  }

  function cellOf(cell, at) {
    const missing = cell === null;
    return h("td", {
      class: [isNumeric(columns[at].type) && "right", isDay(columns[at].type) && "whole", missing && "missing"].filter(Boolean).join(" ") || undefined,
      "data-value": JSON.stringify(cell),
    }, missing ? "empty" : cut(formats[at](cell)));
  }
}

/** A day is read at a glance only when it stands on one line. */
const isDay = (type) => type === "date" || type === "datetime";

/** A cell is for reading; whoever needs all of a long text has the program and the service. */
const cut = (text) => (text.length > LONGEST_CELL ? `${text.slice(0, LONGEST_CELL)}…` : text);

/** Missing values last, whichever the direction. */
function comparison(column, { by, descending }) {
  const collator = new Intl.Collator(undefined, { numeric: true });
  const direction = descending ? -1 : 1;
  return (left, right) => {
    const [a, b] = [left[by], right[by]];
    if (a === null || b === null) return (a === null) - (b === null);
    if (isNumeric(column.type)) return direction * ((toNumber(a) ?? 0) - (toNumber(b) ?? 0));
    return direction * collator.compare(String(a), String(b));
  };
}

function countOf({ rows, row_count, truncated }) {
  if (!truncated) return plural(rows.length, "row");
  return `${rows.length.toLocaleString()} of ${plural(row_count, "row")}; the rest was left out`;
}
