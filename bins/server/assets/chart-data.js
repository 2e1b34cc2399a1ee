// From a chart spec and a table to what is drawn. A spec only names columns; it brings no data and no code.

import { columnFormat, isNumeric, isTime, plain, timeFormat, toNumber, toTime, withUnit, words } from "./format.js";

const MOST_SERIES = 8;
const MOST_CATEGORIES = { bar: 40, stacked_bar: 40, pie: 8 };

/** A spec that does not fit its table: the sentence says why. */
export class NotDrawable extends Error {}

/** The first table of an answer that has the columns the spec names. */
export function tableFor(spec, answer) {
  const parts = answer.kind === "group" ? Object.values(answer.parts) : [answer];
  const names = [spec.x, spec.series, ...spec.y].filter(Boolean);
  const has = (table, name) => table.columns.some((column) => column.name === name);
  const table = parts.find((part) => part.kind === "table" && names.every((name) => has(part, name)));
  if (!table) throw new NotDrawable("The chart names columns that the result does not have.");
  return table;
}

/**
 * Categories or positions along x, and the series drawn over them:
 * `{ x: { kind, title, items: [{ at, label }] }, y: { title, format }, series: [{ name, values }], notes }`.
 */
export function prepare(spec, table) {
  const notes = [];
  const x = column(table, spec.x);
  const ys = spec.y.map((name) => column(table, name));
  if (ys.length === 0) throw new NotDrawable("The chart names no column to draw.");
  for (const y of ys) {
    if (!isNumeric(y.type)) throw new NotDrawable(`The column “${words(y.name)}” holds no numbers to draw.`);
  }
  if (table.rows.length === 0) throw new NotDrawable("There are no rows to draw.");
  // A missing name is a name; a missing date or number has no place on the axis.
  const rows = x && (isTime(x.type) || isNumeric(x.type)) ? table.rows.filter((row) => row[x.at] !== null) : table.rows;
  if (rows.length < table.rows.length) {
    notes.push(`${table.rows.length - rows.length} without ${words(x.name)} not drawn`);
  }
  const axis = x ? axisOf(x, rows, spec) : { kind: "category", title: "", items: [{ key: "", label: "" }] };
  let series = spec.series ? pivot(column(table, spec.series), x, ys[0], rows, axis) : plainSeries(ys, rows, axis);
  if (series.length > MOST_SERIES) {
    notes.push(`the first ${MOST_SERIES} of ${series.length} series drawn`);
    series = series.slice(0, MOST_SERIES);
  }
  const most = MOST_CATEGORIES[spec.kind] ?? 5000;
  if (axis.items.length > most && spec.kind !== "pie") {
    notes.push(`the first ${most} of ${axis.items.length} drawn`);
    axis.items = axis.items.slice(0, most);
    series = series.map(({ name, values }) => ({ name, values: values.slice(0, most) }));
  }
  const unit = spec.unit ?? (ys.every((y) => y.unit === ys[0].unit) ? ys[0].unit : undefined);
  const title = spec.y_title ?? (ys.length === 1 ? words(ys[0].name) : "");
  const y = { title, unit, format: valueFormat(ys, rows, unit) };
  const says = spec.kind === "scatter" && x ? cloud(axis, y, series) : undefined;
  return { x: axis, y, series, notes, says };
}

/** Counts of a numeric column in equal bins, as if they were bars. */
export function histogram(spec, table) {
  const source = [spec.x, ...spec.y].map((name) => column(table, name)).find((one) => one && isNumeric(one.type));
  if (!source) throw new NotDrawable("A histogram needs a column of numbers.");
  if (spec.x && spec.y.length > 0 && !spec.y.includes(spec.x)) return prepare(spec, table);
  const values = table.rows.map((row) => toNumber(row[source.at])).filter((value) => value !== undefined);
  if (values.length === 0) throw new NotDrawable("There are no numbers to draw.");
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const wanted = Math.min(30, Math.max(5, Math.ceil(Math.log2(values.length)) + 1));
  const step = niceStep((high - low || 1) / wanted);
  const start = Math.floor(low / step) * step;
  const counts = new Array(Math.floor((high - start) / step) + 1).fill(0);
  for (const value of values) counts[Math.floor((value - start) / step)] += 1;
  const highest = counts.indexOf(Math.max(...counts));
  const format = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
  const items = counts.map((_, at) => {
    const [from, to] = [start + at * step, start + (at + 1) * step];
    return { key: from, at: from, label: `${format.format(from)} – ${format.format(to)}`, short: format.format(from) };
  });
  return {
    x: { kind: "ordered", title: titled(spec.x_title ?? words(source.name), spec.unit ?? source.unit), items },
    y: { title: spec.y_title ?? "rows", format: (value) => value.toLocaleString() },
    series: [{ name: "rows", values: counts }],
    notes: table.truncated ? ["only of the rows shown"] : [],
    says: `${values.length.toLocaleString()} values; the highest bar is ${items[highest].label} with ${counts[highest].toLocaleString()}.`,
  };
}

/** 1, 2 or 5 times a power of ten, not below `rough`. */
export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
}

/** What the chart says, in one sentence; every figure in it stands in the table. */
export function summary(data) {
  if (data.says) return data.says;
  const points = data.series.flatMap(({ name, values }) =>
    values.map((value, at) => ({ value, label: [data.x.items[at].label, data.series.length > 1 && name].filter(Boolean).join(", ") })))
    .filter(({ value }) => value !== undefined);
  if (points.length === 0) return "No values to draw.";
  const said = ({ value, label }) => `${label ? `${label}, ` : ""}${data.y.format(value)}`;
  const highest = points.reduce((best, point) => (point.value > best.value ? point : best));
  const lowest = points.reduce((best, point) => (point.value < best.value ? point : best));
  if (points.length === 1) return said(highest);
  return `Highest: ${said(highest)}. Lowest: ${said(lowest)}.`;
}

/** A cloud of points has no order worth telling, only extents. */
function cloud(axis, y, series) {
  const values = series.flatMap((one) => one.values).filter((value) => value !== undefined);
  if (axis.kind === "category" || values.length === 0) return undefined;
  const ordered = [...axis.items].sort((a, b) => a.at - b.at);
  return `${values.length.toLocaleString()} points; ${axis.title} from ${ordered[0].label} to ${ordered.at(-1).label}, ` +
    `${y.title} from ${y.format(Math.min(...values))} to ${y.format(Math.max(...values))}.`;
}

export const titled = (title, unit) => [title, unit && `(${unit})`].filter(Boolean).join(" ");

function column(table, name) {
  const at = table.columns.findIndex((one) => one.name === name);
  return at < 0 ? undefined : { ...table.columns[at], at };
}

function axisOf(x, rows, spec) {
  const title = titled(spec.x_title ?? words(x.name), x.unit);
  const keys = spec.series ? [...new Set(rows.map((row) => row[x.at]))] : rows.map((row) => row[x.at]);
  const times = keys.map(toTime);
  if (isTime(x.type) && times.every((time) => time !== undefined)) {
    const format = timeFormat(x.name, times);
    const items = keys.map((key, at) => ({ key, at: times[at], label: format(times[at]) }));
    return { kind: "time", title, items: spec.series ? items.sort((a, b) => a.at - b.at) : items };
  }
  const format = columnFormat(x, keys);
  const numbers = keys.map(toNumber);
  if (isNumeric(x.type) && numbers.every((number) => number !== undefined)) {
    return { kind: "number", title, items: keys.map((key, at) => ({ key, at: numbers[at], label: format(key) })) };
  }
  return { kind: "category", title, items: keys.map((key) => ({ key, label: key === null ? "empty" : format(key) })) };
}

function plainSeries(ys, rows, axis) {
  if (axis.items.length !== rows.length) return ys.map((y) => ({ name: words(y.name), values: [toNumber(rows[0]?.[y.at])] }));
  return ys.map((y) => ({ name: words(y.name), values: rows.map((row) => toNumber(row[y.at])) }));
}

function pivot(by, x, y, rows, axis) {
  if (!x) throw new NotDrawable("A chart with series needs a horizontal axis.");
  const place = new Map(axis.items.map(({ key }, at) => [key, at]));
  const series = new Map();
  for (const row of rows) {
    const name = plain(row[by.at]) || "empty";
    if (!series.has(name)) series.set(name, { name, values: new Array(axis.items.length) });
    const { values } = series.get(name);
    if (values[place.get(row[x.at])] !== undefined) {
      throw new NotDrawable(`The result has more than one value for ${plain(row[x.at])}, ${name}.`);
    }
    values[place.get(row[x.at])] = toNumber(row[y.at]);
  }
  return [...series.values()];
}

function valueFormat(ys, rows, unit) {
  const format = columnFormat(ys[0], rows.flatMap((row) => ys.map((y) => row[y.at])));
  if (unit && !/^[A-Z]{3}$/.test(unit)) return (value) => `${format(value)} ${unit}`;
  return unit ? (value) => withUnit(value, unit) : format;
}
