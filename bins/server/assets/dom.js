// Builds elements. Data only ever becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `h("p", { class: "note", onclick: f }, "text", child, …)`. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Puts these, and nothing else, into an element; leaves out what is not there. */
export function place(element, ...children) {
  element.replaceChildren();
  fill(element, {}, children);
}

/** The element of this id. */
export const byId = (id) => document.getElementById(id);

/** A sentence whose `commands` stand out. */
export function prose(text) {
  return String(text ?? "").split("`").map((part, at) => (at % 2 === 1 ? h("code", {}, part) : part));
}

/** A word or two, in singular or plural: `plural(2, "row")` is `2 rows`. */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}
