// The page: from the address to a view.

import { KeyNeeded, isExported, openEmbedded, useKey } from "./api.js";
import { fill, h, say } from "./dom.js";
import { addKey, listenForKeys, setKeys } from "./keys.js";
import { learnPage } from "./learn.js";
import { bothPage, comparePage, pairPage, pairsPage } from "./pairs.js";
import { problemPage, problemsPage } from "./problems.js";
import { here, to } from "./route.js";
import { rowsPage, runPage, runsPage } from "./runs.js";
import { treePage, twoPage } from "./treepage.js";

const VIEWS = { runs: runsPage, run: runPage, rows: rowsPage, problems: problemsPage, problem: problemPage, tree: treePage, two: twoPage, both: bothPage, pairs: pairsPage, pair: pairPage, compare: comparePage, learn: learnPage };
const PLACES = [["runs", "Runs", "g"], ["compare", "Compare", "m"], ["learn", "Learn", "l"]];

let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving, { view, words } = here();
  const main = h("main", { id: "main", tabindex: "-1" });
  setKeys([]);
  const navigation = document.getElementById("nav");
  fill(navigation, h("strong", null, "rStar-Math"), PLACES.filter(([name]) => name !== "learn" || !isExported()).map(([name, text]) => h("a", { href: to(name), "aria-current": view === name ? "page" : null }, text)),
    words.set ? h("a", { href: to("problems", { set: words.set }), "aria-current": view === "problems" ? "page" : null }, words.set) : null,
    h("span", { class: "fill" }), isExported() ? h("span", { class: "muted" }, "exported") : null, h("button", { type: "button", onclick: turnTheme, "aria-label": "light or dark" }, "◐"), h("button", { type: "button", onclick: () => document.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true })), "aria-label": "keys" }, "?"));
  try {
    const draw = Object.hasOwn(VIEWS, view) ? VIEWS[view] : null;
    if (!draw) throw new Error("There is no such view.");
    const old = document.getElementById("main");
    if (view === "tree" || view === "two") old.replaceWith(main);
    await draw(main, words, signal);
    if (signal.aborted) return;
    if (!main.isConnected) document.getElementById("main").replaceWith(main);
    document.title = `${main.querySelector("h1")?.textContent.slice(0, 80) ?? "rStar-Math"} – rStar-Math`;
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof KeyNeeded) askForKey(main);
    else fill(main, h("h1", null, "That did not work"), h("p", { role: "alert" }, error.message), h("p", null, h("a", { href: to("runs") }, "to the runs")));
    if (!main.isConnected) document.getElementById("main").replaceWith(main);
  }
  document.documentElement.dataset.shown = location.hash || "#";
  window.dispatchEvent(new Event("shown"));
}

function askForKey(main) {
  const input = h("input", { type: "password", autocomplete: "off", "aria-label": "key" });
  const send = () => {
    useKey(input.value.trim());
    show();
  };
  fill(main, h("h1", null, "A key is needed"), h("p", { class: "tools" }, input, h("button", { type: "button", onclick: send }, "Go on")));
  input.addEventListener("keydown", (event) => event.key === "Enter" && send());
}

function turnTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // a file that is opened from disk may not keep anything
  }
  window.dispatchEvent(new Event("resize"));
  document.querySelectorAll("canvas").forEach((c) => c.dispatchEvent(new Event("repaint")));
}

async function start() {
  try {
    const theme = localStorage.getItem("theme");
    if (theme) document.documentElement.dataset.theme = theme;
  } catch {
    // as above
  }
  document.getElementById("skip").addEventListener("click", () => document.getElementById("main").focus());
  addKey("g", "runs", () => (location.hash = to("runs")));
  addKey("m", "compare", () => (location.hash = to("compare")));
  if (!document.getElementById("answers")) addKey("l", "learn", () => (location.hash = to("learn")));
  addKey("b", "back", () => history.back());
  addKey("t", "light or dark", turnTheme);
  listenForKeys();
  await openEmbedded();
  window.addEventListener("hashchange", show);
  await show();
  say("ready");
}

start();
