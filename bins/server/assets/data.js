// What data there is, before the first question: tables, columns, spans, and what is odd about them.

import { byId, h, place, plural, prose } from "./dom.js";
import { day, isNumeric, isTime, plain, toTime, words } from "./format.js";

const TYPES = {
  integer: "whole number", decimal: "decimal", number: "number", date: "date", datetime: "date and time",
  boolean: "yes or no", text: "text",
};
const ROLES = {
  identifier: "identifier", measure: "measure", dimension: "grouping", time: "time", currency: "currency", free_text: "free text",
};

const PRIVACY = [
  "nothing of this data", "its columns, types and ranges, and no text of any cell",
  "its columns, types and ranges, and frequent values that do not look personal", "its columns, frequent values and sample rows",
];

export function showDataset(dataset, model) {
  const { tables } = dataset;
  if (!dataset.typed) {
    place(byId("data"), h("p", {}, h("strong", {}, dataset.name), " is being read for the first time, which takes a moment; then its tables stand here. You can ask already."));
    return;
  }
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const span = spanOf(tables);
  const warnings = tables.flatMap((table) => (table.warnings ?? []).map((warning) => ({ table, warning })));
  place(byId("data"),
    h("p", {}, h("strong", {}, dataset.name), `: ${plural(tables.length, "table")}, ${plural(rows, "row")}`,
      span && `, ${day(span[0])} to ${day(span[1])}`, ".",
      dataset.as_of && h("span", { class: "quiet" }, ` “Today” means ${day(dataset.as_of)}, the data's last day.`)),
    model && modelNote(dataset, model),
    warnings.length > 0 && warningList(warnings),
    h("div", { class: "tables" }, tables.map(tablePeek)));
}

/** Who may write programs, and what of the data it is told. */
function modelNote({ privacy }, model) {
  const level = privacy ?? (model.is_local ? 2 : 1);
  const where = model.is_local ? "on this machine" : `at ${model.server}`;
  if (level === 0 && !model.is_local) {
    return h("p", { class: "small" }, "Questions are answered by rules alone: nothing of this data may leave the machine.");
  }
  return h("p", { class: "small" }, "What rules cannot answer for certain is asked of ", h("strong", {}, model.name), ` ${where}, which is told ${PRIVACY[Math.max(level, 1)]}.`);
}

/** The data's time: the smallest and largest date, leaving out dates of what is due later. */
function spanOf(tables) {
  const columns = tables.flatMap((table) => table.columns).filter((column) => isTime(column.type) && toTime(column.min) !== undefined && toTime(column.max) !== undefined);
  if (columns.length === 0) return undefined;
  const first = columns.reduce((least, { min }) => (toTime(min) < toTime(least) ? min : least), columns[0].min);
  const last = columns.reduce((most, { max }) => (toTime(max) > toTime(most) ? max : most), columns[0].max);
  return [first, last];
}

function warningList(warnings) {
  return h("details", { class: "warnings" },
    h("summary", {}, `${plural(warnings.length, "thing")} to know about this data`),
    h("ul", {}, warnings.map(({ table, warning }) =>
      h("li", {}, h("strong", {}, words(table.name)), warning.column && ` · ${words(warning.column)}`, ": ", prose(warning.message)))));
}

function tablePeek(table) {
  return h("details", { class: "peek" },
    h("summary", {}, h("span", { class: "peek-name" }, words(table.name)),
      h("span", { class: "quiet small" }, `${plural(table.rows, "row")} · ${plural(table.columns.length, "column")}`)),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Columns of ${words(table.name)}` },
      h("table", { class: "columns" },
        h("caption", { class: "quiet small" }, "From ", h("code", {}, table.source)),
        h("thead", {}, h("tr", {}, ["Column", "Holds", "From – to", "Empty"].map((name, at) => h("th", { scope: "col", class: at === 3 && "right" }, name)))),
        h("tbody", {}, table.columns.map((column) => h("tr", {},
          h("th", { scope: "row" }, words(column.name)),
          h("td", {}, TYPES[column.type] ?? column.type, ROLES[column.role] && h("span", { class: "quiet" }, ` · ${ROLES[column.role]}`), column.currency && ` · ${column.currency}`),
          h("td", {}, rangeOf(column)),
          h("td", { class: "right" }, emptyOf(column, table)),
        ))))));
}

function rangeOf(column) {
  const { min, max, distinct, type } = column;
  if (min !== undefined && max !== undefined && isTime(type)) return `${day(min)} – ${day(max)}`;
  if (min !== undefined && max !== undefined && isNumeric(type) && column.role !== "identifier") {
    return `${numberOf(min)} – ${numberOf(max)}`;
  }
  return plural(distinct, "value");
}

const numberOf = (cell) => (typeof cell === "number" ? cell.toLocaleString() : plain(cell));

function emptyOf({ nulls, unparsed }, { rows }) {
  if (!nulls) return "none";
  const share = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 }).format(nulls / rows);
  return `${share}${unparsed ? `, ${unparsed.toLocaleString()} unreadable` : ""}`;
}
