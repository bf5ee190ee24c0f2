// Elements of the page. Text goes in as text alone: nothing that a model, a file or an address says becomes markup.

const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu;
const CLIPPED = 4000;

/** Text with control characters, and those that turn the direction of what follows, as escapes. */
export function visible(text) {
  return String(text).replaceAll("\r\n", "\n").replace(CONTROLS, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

/** An element: attributes (`on...` are listeners, false and null are left out), then children: texts and elements. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : visible(value));
  }
  element.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false).map(asNode));
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(visible(child));
}

/** Puts children in place of those that there are. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false).map(asNode));
}

/** Text as it stands, in a box; of a very long one the beginning, and a button for the rest. */
export function verbatim(text, kind, name) {
  const box = h("pre", { class: kind, tabindex: "0", role: "region", "aria-label": name });
  if (text.length <= CLIPPED) {
    fill(box, text);
    return box;
  }
  const rest = h("button", { type: "button", onclick: () => fill(box, text) }, `show all ${text.length.toLocaleString("en")} characters`);
  fill(box, text.slice(0, CLIPPED), "… ", rest);
  return box;
}

/** A few characters of a long text, on one line. */
export function brief(text, length = 160) {
  const line = String(text).slice(0, 4 * length).replace(/\s+/g, " ").trim();
  return line.length > length ? line.slice(0, length - 1) + "…" : line;
}

/** Told to people who hear the page. */
export function say(text) {
  fill(document.getElementById("said"), text);
}

export function percent(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`;
}

export function signed(value) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

export function count(value) {
  return value === null || value === undefined ? "–" : Number(value).toLocaleString("en");
}
