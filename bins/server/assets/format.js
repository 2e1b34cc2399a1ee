// Numbers, money, dates and durations in the reader's own language.

const NUMERIC = new Set(["integer", "decimal", "number"]);

export const isNumeric = (type) => NUMERIC.has(type);
export const isTime = (type) => type === "date" || type === "datetime";

/** A number, or undefined where the cell holds none. Exact decimals come as texts. */
export function toNumber(cell) {
  if (typeof cell === "number") return cell;
  if (typeof cell !== "string" || cell.trim() === "") return undefined;
  const value = Number(cell);
  return Number.isFinite(value) ? value : undefined;
}

/** Milliseconds of an ISO date, read without any time zone; undefined where it is none. */
export function toTime(cell) {
  if (typeof cell !== "string" || !/^\d{4}-\d{2}/.test(cell)) return undefined;
  const zoned = /(Z|[+-]\d{2}:?\d{2})$/.test(cell) || !cell.includes("T");
  const value = Date.parse(zoned ? cell : `${cell}Z`);
  return Number.isNaN(value) ? undefined : value;
}

/** How the cells of one column are written: the same decimals in each row. */
export function columnFormat(column, cells) {
  if (isTime(column.type)) return timeCells(column, cells);
  if (!isNumeric(column.type)) return plain;
  const decimals = cells.reduce((most, cell) => Math.max(most, decimalsOf(cell)), 0);
  const large = cells.some((cell) => Math.abs(toNumber(cell) ?? 0) >= 1000);
  const readable = large ? 2 : 4;
  const cents = column.type === "decimal" && decimals > 0 ? 2 : 0;
  const places = decimals > 0 ? (currencyDigits(column.unit) ?? Math.max(cents, Math.min(decimals, readable))) : 0;
  const format = new Intl.NumberFormat(undefined, {
    minimumFractionDigits: places,
    maximumFractionDigits: places,
    useGrouping: !looksLikeAName(column),
  });
  return (cell) => {
    const number = toNumber(cell);
    if (number === undefined) return plain(cell);
    return typeof cell === "number" && isExtreme(number) ? scientific(number) : format.format(cell);
  };
}

/** Too large or too small to be read with all its digits. */
const isExtreme = (number) => number !== 0 && (Math.abs(number) >= 1e15 || Math.abs(number) < 1e-4);

const scientific = (number) =>
  new Intl.NumberFormat(undefined, { notation: "scientific", maximumSignificantDigits: 6 }).format(number);

/** One number for reading, with its unit. */
export function withUnit(value, unit, options = {}) {
  if (unit && /^[A-Z]{3}$/.test(unit)) {
    try {
      return new Intl.NumberFormat(undefined, { style: "currency", currency: unit, ...options }).format(value);
    } catch {
      // Not a currency: shown as a plain unit below.
    }
  }
  const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2, ...options }).format(value);
  if (!unit) return number;
  return unit === "%" ? `${number}\u202f%` : `${number} ${unit}`;
}

/** A number for an axis: short. */
export const compact = (value) => isExtreme(value) ? scientific(value) :
  new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 }).format(value);

/** Dollars; small amounts keep the digits that say something. */
export function money(dollars) {
  const size = Math.abs(dollars);
  const places = size === 0 || size >= 0.1 ? 2 : Math.min(9, 2 - Math.floor(Math.log10(size)));
  return new Intl.NumberFormat(undefined, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits: places,
  }).format(dollars);
}

/** How long something took. */
export function duration(ms) {
  if (ms === undefined || ms === null) return "";
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: seconds < 10 ? 1 : 0 });
  return `${number.format(seconds)} s`;
}

export function bytes(count) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = count < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(count) / 3));
  return new Intl.NumberFormat(undefined, { style: "unit", unit: units[power], unitDisplay: "narrow", maximumFractionDigits: 1 })
    .format(count / 1000 ** power);
}

/** A date of the data: no time zone is applied. */
export function day(cell, type = "date") {
  const time = toTime(cell);
  if (time === undefined) return plain(cell);
  const clock = type === "datetime" ? { timeStyle: "short" } : {};
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", ...clock, timeZone: "UTC" }).format(time);
}

/** A point in time of ours, in the reader's time zone. */
export const moment = (text) =>
  new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));

/** Only the day of a point in time of ours. */
export const calendarDay = (text) => new Intl.DateTimeFormat(undefined, { dateStyle: "long" }).format(new Date(text));

/** "3 minutes ago". */
export function ago(text, now = Date.now()) {
  const seconds = (new Date(text) - now) / 1000;
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(Math.trunc(seconds), "second");
}

/** Writes dates of a column no finer than they are: as years, quarters, months or days. */
export function timeFormat(name, times) {
  const period = periodOf(name, times);
  if (period === "quarter") return quarter;
  const options = { year: "numeric", ...(period !== "year" && { month: "short" }), ...(period === "day" && { day: "numeric" }) };
  const format = new Intl.DateTimeFormat(undefined, { ...options, timeZone: "UTC" });
  return (time) => format.format(time);
}

/** What the column's name says, if its dates agree; else what several dates have in common. */
function periodOf(name, times) {
  const dates = times.map((time) => new Date(time));
  if (!dates.every((date) => date.getUTCDate() === 1 && date.getUTCHours() === 0)) return "day";
  const [named] = /year|quarter|month/i.exec(name) ?? [];
  if (named) return named.toLowerCase();
  if (times.length < 2) return "day";
  return dates.every((date) => date.getUTCMonth() === 0) ? "year" : "month";
}

function quarter(time) {
  const date = new Date(time);
  return `Q${Math.floor(date.getUTCMonth() / 3) + 1} ${date.getUTCFullYear()}`;
}

/** Months, quarters and years are written as such where the column's name says so. */
function timeCells({ name, type }, cells) {
  const times = cells.map(toTime).filter((time) => time !== undefined);
  const write = /year|quarter|month/i.test(name) ? timeFormat(name, times) : undefined;
  return (cell) => {
    const time = toTime(cell);
    if (time === undefined) return plain(cell);
    return write ? write(time) : day(cell, type);
  };
}

/** How many decimals a currency has; undefined where the unit is none. */
function currencyDigits(unit) {
  if (!/^[A-Z]{3}$/.test(unit ?? "")) return undefined;
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency: unit }).resolvedOptions().maximumFractionDigits;
  } catch {
    return undefined;
  }
}

/** A cell as it is. */
export function plain(cell) {
  if (cell === null || cell === undefined) return "";
  if (cell === true) return "yes";
  if (cell === false) return "no";
  return String(cell);
}

/** `order_lines` reads better as `order lines`. */
export const words = (name) => String(name).replaceAll("_", " ");

function decimalsOf(cell) {
  const text = typeof cell === "number" || typeof cell === "string" ? String(cell) : "";
  const [mantissa, exponent] = text.toLowerCase().split("e");
  const fraction = (mantissa.split(".")[1] ?? "").length;
  return Math.min(9, Math.max(0, fraction - Number(exponent ?? 0)));
}

/** Years and numbers that name something are not grouped by thousands. */
const looksLikeAName = (column) =>
  column.type === "integer" && /(^|[_\s])(id|year|no|nr|number|code|sku|zip)$/i.test(column.name);

/** Starts with a capital letter, as a sentence does; names such as `order_lines` and `user/ana` stay as they are. */
export const sentence = (text) => (/^\p{Ll}[\p{L}'’-]*([\s,.]|$)/u.test(text ?? "") ? text[0].toLocaleUpperCase() + text.slice(1) : text ?? "");
