// Keys: every action has one, `?` lists those of the view.

import { fill, h } from "./dom.js";

let ofView = [];
const everywhere = [];

/** The keys of the view that is shown: each `{ key, what, act }`. */
export function setKeys(keys) {
  ofView = keys;
}

/** A key that works in every view. */
export function addKey(key, what, act) {
  everywhere.push({ key, what, act });
}

/** Listens for keys, from now on. */
export function listenForKeys() {
  addKey("?", "these keys", showHelp);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    if (event.key === "Escape" && at.matches("input, textarea, select")) return at.blur();
    if (at.matches("input, textarea, select, dialog *")) return;
    const found = [...ofView, ...everywhere].find((k) => k.key === event.key);
    if (!found || (found.on && !at.closest(found.on))) return;
    event.preventDefault();
    found.act();
  });
}

function showHelp() {
  const dialog = document.getElementById("help");
  const rows = [...ofView, ...everywhere].map((k) => h("tr", null, h("th", { scope: "row" }, h("kbd", null, k.key === " " ? "Space" : k.key)), h("td", null, k.what)));
  fill(dialog, h("h2", { id: "help-title" }, "Keys"), h("table", null, h("tbody", null, rows)), h("button", { type: "button", onclick: () => dialog.close() }, "Close"));
  if (!dialog.open) dialog.showModal();
}
