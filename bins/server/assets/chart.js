// Draws the typed chart specs of the answer contract as SVG. Everything drawn is also in the table beside it.

import { barsAcross, barsUp, lines, pie, points } from "./chart-kinds.js";
import { NotDrawable, histogram, prepare, summary, tableFor } from "./chart-data.js";
import { h, svg } from "./dom.js";
import { sentence, words } from "./format.js";

/** A figure for one chart spec over an answer; `said` is what stands above it already. */
export function chart(spec, answer, said) {
  if (answer.kind === "scalar") return false; // its headline is the figure
  try {
    return figure(spec, tableFor(spec, answer), said);
  } catch (fault) {
    if (!(fault instanceof NotDrawable)) throw fault;
    return h("p", { class: "quiet small" }, `No chart: ${fault.message}`);
  }
}

function figure(spec, table, said) {
  if (spec.kind === "number") return bigNumber(spec, table);
  const data = spec.kind === "histogram" ? histogram(spec, table) : prepare(spec, table);
  const title = spec.title ?? ([data.y.title, data.x.title].filter(Boolean).join(" by ") || "Chart");
  const caption = h("figcaption", {}, h("strong", { class: title === said && "unseen" }, sentence(title)), h("span", { class: "quiet" }, ` ${summary(data)}`));
  const notes = data.notes.length > 0 && h("p", { class: "quiet small" }, `Chart: ${data.notes.join("; ")}.`);
  if (spec.kind === "heat_table") return h("figure", { class: "chart" }, caption, heatTable(data), notes);
  return h("figure", { class: "chart" }, caption, legend(spec, data), canvas(spec, data, title), notes);
}

/** The drawing, with one tab stop: arrow keys, or a pointer, read the values out. */
function canvas(spec, data, title) {
  const readout = h("p", { class: "readout small", "aria-live": "polite" });
  const hint = "Arrow keys read the values.";
  const stage = h("div", {
    class: "stage",
    tabindex: "0",
    role: "group",
    "aria-roledescription": "chart",
    "aria-label": `${title}. ${summary(data)} ${hint}`,
  });
  let marks = [];
  let current = -1;
  readout.textContent = "\u00a0";

  const read = (at) => {
    marks[current]?.element.classList.remove("current");
    current = at;
    marks[at]?.element.classList.add("current");
    readout.textContent = marks[at]?.text ?? "\u00a0";
  };
  const draw = (width) => {
    const drawing = drawerFor(spec, data)(data, { width, stacked: spec.kind === "stacked_bar", filled: spec.kind === "area" });
    const root = svg("svg", {
      width, height: drawing.height, viewBox: `0 0 ${width} ${drawing.height}`, "aria-hidden": "true", focusable: "false",
    }, drawing.nodes);
    marks = drawing.marks;
    marks.forEach((mark, at) => mark.element.addEventListener("pointerenter", () => read(at)));
    stage.replaceChildren(root);
    read(-1);
  };
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const target = { Home: 0, End: marks.length - 1, Escape: -1 }[event.key]
      ?? (step && Math.min(marks.length - 1, Math.max(0, current < 0 ? 0 : current + step)));
    if (target === undefined) return;
    event.preventDefault();
    read(target);
  });
  stage.addEventListener("focus", () => current < 0 && (readout.textContent = hint));
  stage.addEventListener("blur", () => read(-1));
  stage.addEventListener("pointerleave", () => read(-1));

  let drawnAt = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (width < 40 || width === drawnAt) return;
    drawnAt = width;
    draw(width);
  }).observe(stage);
  return h("div", {}, stage, readout);
}

function drawerFor(spec, data) {
  const negative = data.series.some(({ values }) => values.some((value) => value < 0));
  switch (spec.kind) {
    case "line":
    case "area":
      return data.x.items.length > 1 ? lines : barsAcross;
    case "scatter":
      return points;
    case "pie":
      return negative || data.series.length > 1 ? barsAcross : pie;
    default:
      return data.x.kind === "category" ? barsAcross : barsUp;
  }
}

/** Names the series in words, beside the pattern and colour each is drawn with. */
function legend(spec, data) {
  if (data.series.length < 2 || spec.kind === "pie") return false;
  const stroked = spec.kind === "line" || spec.kind === "scatter";
  return h("ul", { class: "legend small" }, data.series.map(({ name }, at) =>
    h("li", {}, svg("svg", { width: 22, height: 14, "aria-hidden": "true" },
      stroked
        ? svg("line", { x1: 0, x2: 22, y1: 7, y2: 7, class: `stroke s${at}` })
        : [svg("rect", { width: 22, height: 14, rx: 3, class: `fill s${at}` }), hatchSwatch(at)]), name)));
}

function hatchSwatch(at) {
  if (at === 0) return [];
  return svg("path", { class: "hatch", d: at % 2 === 1 ? "M2 14L16 0M9 14L22 1M-5 14L9 0" : "M3 0V14M9 0V14M15 0V14" });
}

function heatTable(data) {
  const values = data.series.flatMap((series) => series.values).filter((value) => value !== undefined);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const warmth = (value) => Math.round((8 * (value - low)) / (high - low || 1));
  const cell = (value) => value === undefined
    ? h("td", { class: "missing" }, "empty")
    : h("td", { class: `right heat${warmth(value)}` }, data.y.format(value));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Heat table" },
    h("table", { class: "heat" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, data.x.title), data.x.items.map(({ label }) => h("th", { scope: "col", class: "right" }, label)))),
      h("tbody", {}, data.series.map(({ name, values: of }) =>
        h("tr", {}, h("th", { scope: "row" }, name), data.x.items.map((_, at) => cell(of[at])))))));
}

function bigNumber(spec, table) {
  const { series, y } = prepare({ ...spec, x: undefined, series: undefined }, table);
  return h("figure", { class: "chart big" },
    h("figcaption", {}, sentence(spec.title ?? words(spec.y[0]))),
    series.map(({ name, values }) => h("p", { class: "headline-number" },
      values[0] === undefined ? "empty" : y.format(values[0]), series.length > 1 && h("span", { class: "unit" }, ` ${name}`))));
}
