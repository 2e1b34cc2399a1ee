// One function a kind: `(data, { width, … })` to `{ height, nodes, marks }`. A mark is an element and its words.

import { niceStep } from "./chart-data.js";
import { svg } from "./dom.js";
import { compact } from "./format.js";

const LONGEST_LABEL = 120;
const LINE = 16;
let drawings = 0;
let pen;

/** Bars from left to right, each with its name and value: the best form for names. */
export function barsAcross(data, { width, stacked }) {
  const { items } = data.x;
  const id = `c${++drawings}`;
  const longest = widest(items.map(({ label }) => label));
  const above = width < 420 && longest > 90;
  const left = above ? 0 : Math.min(width * 0.36, longest + 10);
  const lanes = stacked ? 1 : data.series.length;
  const thick = lanes === 1 ? 20 : 13;
  const step = lanes * (thick + 2) + (above ? LINE + 12 : 12);
  const totals = items.map((_, at) => total(data.series, at));
  const shown = stacked ? totals : data.series.flatMap(({ values }) => values).map((value) => value ?? 0);
  const valueRoom = widest(shown.map(data.y.format)) + 10;
  const [low, high] = [Math.min(0, ...shown), Math.max(0, ...shown)];
  const from = left + (low < 0 ? valueRoom : 0);
  const scale = linear([low, high || (low < 0 ? 0 : 1)], [from, Math.max(from + 20, width - valueRoom)]);
  const height = items.length * step + 4;
  const nodes = [patterns(id, data.series.length), svg("line", { x1: scale(0), x2: scale(0), y1: 0, y2: height, class: "base" })];
  const marks = [];
  items.forEach(({ label }, at) => {
    const top = at * step + 4;
    const bars = top + (above ? LINE : 0);
    const room = above ? width : left - 8;
    nodes.push(text(above ? { x: 0, y: top + 11 } : { x: left - 8, y: bars + (lanes * (thick + 2)) / 2 + 4, "text-anchor": "end" }, cut(label, room), label));
    let reached = 0;
    data.series.forEach(({ name, values }, lane) => {
      const value = values[at];
      if (value === undefined) return;
      const start = stacked ? reached : 0;
      reached += value;
      const [a, b] = [scale(start), scale(start + value)].sort((p, q) => p - q);
      const y = bars + (stacked ? 0 : lane * (thick + 2));
      const element = bar({ x: a, y, width: Math.max(1, b - a), height: thick }, id, lane);
      nodes.push(element);
      marks.push({ element, text: words(label, data.series.length > 1 && name, data.y.format(value)) });
      if (!stacked) nodes.push(text({ x: value < 0 ? a - 5 : b + 5, y: y + thick / 2 + 4, class: "value", "text-anchor": value < 0 ? "end" : "start" }, data.y.format(value)));
    });
    if (stacked) nodes.push(text({ x: scale(Math.max(0, totals[at])) + 5, y: bars + thick / 2 + 4, class: "value" }, data.y.format(totals[at])));
  });
  return { height, nodes, marks };
}

/** Bars from the ground up, in the order of dates or numbers. */
export function barsUp(data, { width, stacked }) {
  const id = `c${++drawings}`;
  const { items } = data.x;
  const totals = items.map((_, at) => total(data.series, at));
  const shown = stacked ? totals : data.series.flatMap(({ values }) => values).map((value) => value ?? 0);
  const frame = frameFor(data, width, Math.min(0, ...shown), Math.max(0, ...shown));
  const band = (frame.right - frame.left) / items.length;
  const lanes = stacked ? 1 : data.series.length;
  const gap = Math.min(12, band * 0.25);
  const thick = Math.min(64, Math.max(1, (band - gap) / lanes));
  const nodes = [patterns(id, data.series.length), ...frame.nodes];
  const marks = [];
  items.forEach(({ label }, at) => {
    const middle = frame.left + band * (at + 0.5);
    let reached = 0;
    data.series.forEach(({ name, values }, lane) => {
      const value = values[at];
      if (value === undefined) return;
      const start = stacked ? reached : 0;
      reached += value;
      const [top, bottom] = [frame.y(start), frame.y(start + value)].sort((p, q) => p - q);
      const x = middle - (thick * lanes) / 2 + (stacked ? 0 : lane * thick);
      const element = bar({ x, y: top, width: Math.max(1, thick - (lanes > 1 ? 1 : 0)), height: Math.max(1, bottom - top) }, id, lane);
      nodes.push(element);
      marks.push({ element, text: words(label, data.series.length > 1 && name, data.y.format(value)) });
    });
  });
  nodes.push(...xLabels(items.map((item, at) => ({ x: frame.left + band * (at + 0.5), label: item.short ?? item.label })), frame, data.x.title));
  return { height: frame.height, nodes, marks };
}

/** A line a series; told apart by dashes and markers as well as colour. */
export function lines(data, { width, filled }) {
  const { items } = data.x;
  const values = data.series.flatMap((series) => series.values).filter((value) => value !== undefined);
  const near = Math.min(...values) > 0 && Math.min(...values) > 0.7 * Math.max(...values) && !filled;
  const frame = frameFor(data, width, near ? Math.min(...values) : Math.min(0, ...values), Math.max(0, ...values));
  const order = items.map((_, at) => at);
  if (data.x.kind !== "category") order.sort((a, b) => items[a].at - items[b].at);
  const x = data.x.kind === "category"
    ? linear([0, items.length - 1], [frame.left + 8, frame.right - 8])
    : linear([items[order[0]].at, items[order.at(-1)].at], [frame.left + 8, frame.right - 8]);
  const place = (at) => x(data.x.kind === "category" ? at : items[at].at);
  const nodes = [...frame.nodes];
  const marks = [];
  const small = items.length > 40;
  data.series.forEach(({ name, values: of }, lane) => {
    const runs = runsOf(order, of).map((run) => run.map((at) => `${place(at).toFixed(1)} ${frame.y(of[at]).toFixed(1)}`));
    for (const run of runs) {
      if (filled) {
        const [first, last] = [run[0].split(" ")[0], run.at(-1).split(" ")[0]];
        nodes.push(svg("path", { class: `area s${lane}`, d: `M${first} ${frame.y(0)}L${run.join("L")}L${last} ${frame.y(0)}Z` }));
      }
      nodes.push(svg("path", { class: `stroke s${lane}`, d: `M${run.join("L")}` }));
    }
    for (const at of order) {
      if (of[at] === undefined) continue;
      const element = marker(place(at), frame.y(of[at]), lane, small ? 2 : 3.5, small);
      nodes.push(element);
      marks.push({ element, text: words(items[at].label, data.series.length > 1 && name, data.y.format(of[at])) });
    }
  });
  const labels = data.x.kind === "number" ? ticksAlong(items[order[0]].at, items[order.at(-1)].at, x) : order.map((at) => ({ x: place(at), label: items[at].label }));
  nodes.push(...xLabels(labels, frame, data.x.title));
  return { height: frame.height, nodes, marks };
}

/** A point a row. */
export function points(data, { width }) {
  if (data.x.kind === "category") return barsAcross(data, { width });
  const { items } = data.x;
  const values = data.series.flatMap((series) => series.values).filter((value) => value !== undefined);
  const frame = frameFor(data, width, Math.min(...values), Math.max(...values));
  const places = items.map(({ at }) => at);
  const x = linear([Math.min(...places), Math.max(...places)], [frame.left + 10, frame.right - 10]);
  const nodes = [...frame.nodes];
  const marks = [];
  data.series.forEach(({ name, values: of }, lane) => of.forEach((value, at) => {
    if (value === undefined) return;
    const element = marker(x(places[at]), frame.y(value), lane, 4);
    nodes.push(element);
    marks.push({ element, text: words(items[at].label, data.series.length > 1 && name, data.y.format(value)) });
  }));
  const labels = data.x.kind === "number"
    ? ticksAlong(Math.min(...places), Math.max(...places), x)
    : [...items].sort((a, b) => a.at - b.at).map(({ at, label }) => ({ x: x(at), label }));
  nodes.push(...xLabels(labels, frame, data.x.title));
  return { height: frame.height, nodes, marks };
}

/** Shares of a whole, largest first; the list beside it names each. */
export function pie(data, { width }) {
  const id = `c${++drawings}`;
  const slices = slicesOf(data);
  const whole = slices.reduce((sum, { value }) => sum + value, 0);
  const beside = width >= 460;
  const radius = Math.min(105, width / 2 - 10);
  const [cx, cy] = [beside ? radius + 8 : width / 2, radius + 8];
  const listTop = beside ? Math.max(18, cy - (slices.length * 26) / 2 + 16) : 2 * radius + 40;
  const height = Math.max(2 * radius + 16, listTop + slices.length * 26);
  const nodes = [patterns(id, slices.length)];
  const marks = [];
  const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
  let angle = 0;
  slices.forEach(({ label, value }, lane) => {
    const sweep = whole > 0 ? (2 * Math.PI * value) / whole : 0;
    const share = percent.format(whole > 0 ? value / whole : 0);
    const group = svg("g", { class: "mark" });
    for (const fill of lane === 0 ? [`fill s${lane}`] : [`fill s${lane}`, undefined]) {
      group.append(svg("path", { d: ring(cx, cy, radius, radius * 0.58, angle, angle + sweep), class: fill ?? "over", fill: fill ? undefined : `url(#${id}-${lane})` }));
    }
    angle += sweep;
    const [x, y] = [beside ? 2 * radius + 40 : 4, listTop + lane * 26];
    group.append(svg("rect", { x, y: y - 11, width: 16, height: 14, rx: 3, class: `fill s${lane}` }));
    if (lane > 0) group.append(svg("rect", { x, y: y - 11, width: 16, height: 14, rx: 3, fill: `url(#${id}-${lane})` }));
    const figures = `${share} · ${data.y.format(value)}`;
    group.append(text({ x: x + 24, y }, cut(label, width - x - 34 - widthOf(figures)), label));
    group.append(text({ x: Math.min(width - 2, x + 420), y, class: "value", "text-anchor": "end" }, figures));
    nodes.push(group);
    marks.push({ element: group, text: words(label, false, `${data.y.format(value)} (${share})`) });
  });
  return { height, nodes, marks };
}

function slicesOf(data) {
  const all = data.x.items.map(({ label }, at) => ({ label, value: data.series[0].values[at] ?? 0 })).sort((a, b) => b.value - a.value);
  if (all.length <= 8) return all;
  const rest = all.slice(7);
  return [...all.slice(0, 7), { label: `${rest.length} others`, value: rest.reduce((sum, { value }) => sum + value, 0) }];
}

/** The vertical axis with its lines, and the room it leaves. */
function frameFor(data, width, low, high) {
  const height = Math.round(Math.min(320, Math.max(210, width * 0.42)));
  const step = niceStep((high - low || Math.abs(high) || 1) / 5);
  const [bottomValue, topValue] = [Math.floor(low / step) * step, Math.ceil((high || step) / step - 1e-9) * step];
  const ticks = [];
  for (let value = bottomValue; value <= topValue + step / 2; value += step) ticks.push(Math.round(value / step) * step);
  const labels = ticks.map(compact);
  const left = widest(labels) + 10;
  const [top, bottom] = [26, height - 40];
  const y = linear([ticks[0], ticks.at(-1)], [bottom, top]);
  const nodes = ticks.flatMap((tick, at) => [
    svg("line", { x1: left, x2: width, y1: y(tick), y2: y(tick), class: tick === 0 ? "base" : "grid" }),
    text({ x: left - 6, y: y(tick) + 4, "text-anchor": "end", class: "axis" }, labels[at]),
  ]);
  const cutOff = ticks[0] > 0 && `, from ${labels[0]} up`;
  const axisTitle = [data.y.title, data.y.unit && ` (${data.y.unit})`, cutOff].filter(Boolean).join("");
  nodes.push(text({ x: 0, y: 12, class: "axis" }, cut(axisTitle, width)));
  return { left, right: width, top, bottom, height, y, nodes };
}

/** Round numbers between two ends of a horizontal axis. */
function ticksAlong(low, high, x) {
  const step = niceStep((high - low || Math.abs(high) || 1) / 6);
  const labels = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1000; value += step) {
    const round = Math.round(value / step) * step;
    labels.push({ x: x(round), label: compact(round) });
  }
  return labels;
}

/** As many labels as fit, always with the first. */
function xLabels(all, frame, title) {
  const room = widest(all.map(({ label }) => label)) + 14;
  const nodes = [];
  let free = -Infinity;
  for (const { x, label } of all) {
    const half = widthOf(label) / 2;
    const middle = Math.min(Math.max(x, frame.left + half - 6), frame.right - half);
    if (middle - room / 2 < free) continue;
    free = middle + room / 2;
    nodes.push(text({ x: middle, y: frame.bottom + 17, "text-anchor": "middle", class: "axis" }, label));
  }
  nodes.push(text({ x: (frame.left + frame.right) / 2, y: frame.height - 5, "text-anchor": "middle", class: "axis" }, cut(title, frame.right - frame.left)));
  return nodes;
}

/** A bar, hatched by its series so that colour is not all that tells it apart. */
function bar(box, id, lane) {
  const shape = (properties) => svg("rect", { ...box, rx: Math.min(3, box.width / 2, box.height / 2), ...properties });
  return svg("g", { class: "mark" }, shape({ class: `fill s${lane}` }), lane > 0 && shape({ fill: `url(#${id}-${lane})` }));
}

function patterns(id, count) {
  const marks = ["", "M0 8L8 0M-2 2L2 -2M6 10L10 6", "M4 0V8", "M0 0L8 8M-2 6L2 10M6 -2L10 2", "M0 4H8", "M2 2h2v2h-2zM6 6h2v2h-2z", "M4 0V8M0 4H8", "M0 8L8 0M0 0L8 8"];
  return svg("defs", {}, marks.slice(1, count).map((d, at) =>
    svg("pattern", { id: `${id}-${at + 1}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" }, svg("path", { d, class: "hatch" }))));
}

function marker(x, y, lane, size, faint = false) {
  const shapes = [
    () => svg("circle", { cx: x, cy: y, r: size }),
    () => svg("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size }),
    () => svg("path", { d: `M${x} ${y - size * 1.3}L${x + size * 1.2} ${y + size}H${x - size * 1.2}Z` }),
    () => svg("path", { d: `M${x} ${y - size * 1.4}L${x + size * 1.4} ${y}L${x} ${y + size * 1.4}L${x - size * 1.4} ${y}Z` }),
  ];
  const target = svg("circle", { cx: x, cy: y, r: faint ? 5 : 9, class: "target" });
  return svg("g", { class: `mark fill s${lane}` }, shapes[lane % shapes.length](), target);
}

/** Unbroken runs of values; a missing one is a gap, not a zero. */
function runsOf(order, values) {
  const runs = [[]];
  for (const at of order) {
    if (values[at] === undefined) runs.push([]);
    else runs.at(-1).push(at);
  }
  return runs.filter((run) => run.length > 0);
}

function ring(cx, cy, outer, inner, from, to) {
  const end = Math.min(to, from + 2 * Math.PI - 0.0001);
  const at = (radius, angle) => `${(cx + radius * Math.sin(angle)).toFixed(2)} ${(cy - radius * Math.cos(angle)).toFixed(2)}`;
  const large = end - from > Math.PI ? 1 : 0;
  return `M${at(outer, from)}A${outer} ${outer} 0 ${large} 1 ${at(outer, end)}L${at(inner, end)}A${inner} ${inner} 0 ${large} 0 ${at(inner, from)}Z`;
}

const total = (series, at) => series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0);
const words = (label, name, value) => `${[label, name].filter(Boolean).join(", ")}: ${value}`;
const linear = ([a, b], [p, q]) => (value) => (b === a ? (p + q) / 2 : p + ((value - a) / (b - a)) * (q - p));
const text = (properties, content, full) => svg("text", properties, content, full && full !== content && svg("title", {}, full));

/** As much of a text as there is room for. */
function cut(text, room) {
  if (text.length <= LONGEST_LABEL && widthOf(text) <= room) return text;
  let length = Math.min(text.length, LONGEST_LABEL);
  while (length > 1 && widthOf(`${text.slice(0, length)}…`) > room) length -= 1;
  return `${text.slice(0, length)}…`;
}

const widest = (texts) => texts.reduce((most, text) => Math.max(most, widthOf(text)), 0);

/** How wide a text is at the charts' 12 px. */
function widthOf(text) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text.slice(0, LONGEST_LABEL)).width;
}
