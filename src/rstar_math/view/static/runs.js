// What there is; a run: its rounds, growth, sets of trees; result rows.

import { ask } from "./api.js";
import { brief, count, fill, h, percent, verbatim } from "./dom.js";
import { change, to } from "./route.js";

export async function runsPage(main) {
  const { places } = await ask("places");
  if (places.length === 1) return runPage(main, { place: places[0].name });
  const kinds = { run: "run", trees: "trees", rows: "result rows" };
  fill(main, h("h1", null, "Runs"), h("ul", { class: "cards" }, places.map((p) => h("li", null,
    h("a", { href: to("run", { place: p.name }) }, p.name), h("span", { class: "muted" }, ` ${kinds[p.kind]}, ${p.trees.length} sets of trees`)))));
}

export async function runPage(main, words) {
  const run = await ask("run", { place: words.place });
  const report = run.report;
  fill(main, h("h1", null, run.name),
    report?.rounds?.length ? growth(report) : null,
    run.sets.length ? setsTable(run) : null,
    run.rows.length ? h("section", null, h("h2", null, "Evaluations"), h("ul", { class: "cards" }, run.rows.map((name) => h("li", null, h("a", { href: to("rows", { rows: name }) }, name))))) : null,
    run.events.length ? eventsTable(run.events) : null);
}

function setsTable(run) {
  const rows = run.sets.map((s) => h("tr", null,
    h("th", { scope: "row" }, h("a", { href: to("problems", { set: s.name }) }, s.name)),
    h("td", { class: "number" }, count(s.num_problems)), h("td", { class: "number" }, count(s.num_trees)),
    h("td", { class: "number" }, bar(s.num_problems ? s.num_solved / s.num_problems : 0)), h("td", { class: "number" }, count(s.tokens)),
    h("td", null, run.pairs.includes(s.name) ? h("a", { href: to("pairs", { set: s.name }), "aria-label": `pairs of ${s.name}` }, "pairs") : null)));
  return h("section", null, h("h2", null, "Trees"), table(["set", "problems", "trees", "solved", "tokens", "preference pairs"], rows, "sets of trees"));
}

/** A share as a bar with its number. */
function bar(share) {
  const meter = h("meter", { min: 0, max: 1, value: share, "aria-hidden": "true" });
  return [meter, ` ${percent(share)}`];
}

const MEASURES = { policy_greedy: "policy, greedy", system: "with search", solved: "training problems solved so far" };

function growth(report) {
  const names = Object.keys(MEASURES).filter((m) => report.rounds.some((r) => r[m]?.all !== undefined));
  const points = [{ round: 0, ...report.base }, ...report.rounds];
  const rows = points.map((r) => h("tr", null, h("th", { scope: "row" }, r.round ? `round ${r.round}` : "base"), names.map((m) => h("td", { class: "number" }, percent(r[m]?.all))),
    h("td", { class: "number" }, count(r.num_trajectories)), h("td", { class: "number" }, count(r.num_pairs)), h("td", { class: "number" }, percent(r.ppm_pair_accuracy)),
    h("td", { class: "number" }, count(r.cost?.tokens_generated)), h("td", { class: "number" }, r.cost ? `${count(Math.round(r.cost.seconds))} s` : "–")));
  const heads = ["", ...names.map((m) => MEASURES[m]), "trajectories", "pairs", "PPM pair accuracy", "tokens of search", "seconds of search"];
  return h("section", null, h("h2", null, "Growth"), curves(points, names), table(heads, rows, "growth over the rounds"));
}

function curves(points, names) {
  const wide = 560, high = 190, x = (k) => 44 + (k * (wide - 60)) / Math.max(1, points.length - 1), y = (v) => 12 + (1 - v) * (high - 40);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const part = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    svg.append(element);
  };
  svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "growth over the rounds; the table below has the numbers");
  svg.setAttribute("class", "curves");
  for (const v of [0, 0.5, 1]) {
    part("line", { x1: 44, x2: wide - 16, y1: y(v), y2: y(v), class: "grid" });
    part("text", { x: 38, y: y(v) + 4, class: "axis end" }, `${100 * v} %`);
  }
  points.forEach((p, k) => part("text", { x: x(k), y: high - 8, class: k && k === points.length - 1 ? "axis end" : "axis middle" }, p.round ? `round ${p.round}` : "base"));
  names.forEach((m, n) => {
    const known = points.map((p, k) => [k, p[m]?.all]).filter(([, v]) => v !== undefined && v !== null);
    part("polyline", { points: known.map(([k, v]) => `${x(k)},${y(v)}`).join(" "), class: `line line-${n}` });
    for (const [k, v] of known) part("circle", { cx: x(k), cy: y(v), r: 3.5, class: `dot dot-${n}` });
  });
  const key = h("ul", { class: "key" }, names.map((m, n) => h("li", { class: `key-${n}` }, MEASURES[m])));
  return h("figure", null, svg, key);
}

function eventsTable(events) {
  const rows = events.slice(-12).reverse().map((e) => h("tr", null, h("td", null, new Date(1000 * e.time).toLocaleString()), h("td", null, e.event), h("td", null, e.round ? `round ${e.round}` : ""),
    h("td", null, e.stage ?? ""), h("td", { class: "number" }, e.seconds === undefined ? "" : `${e.seconds.toFixed(1)} s`)));
  return h("section", null, h("h2", null, "What happened"), table(["when", "event", "round", "stage", "took"], rows, "events, the latest first"));
}

/** A table with its heads, which scrolls by itself where it is too wide. */
export function table(heads, rows, name) {
  const isNumber = (k) => (rows[0]?.cells[k]?.classList.contains("number") ? "number" : null);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
    h("table", null, h("thead", null, h("tr", null, heads.map((head, k) => (head ? h("th", { scope: "col", class: isNumber(k) }, head) : h("td", null))))), h("tbody", null, rows)));
}

export async function rowsPage(main, words) {
  const list = h("div", null);
  const show = async (changed) => {
    Object.assign(words, changed);
    change(changed);
    const { rows, text = "", solved = "" } = words;
    const found = await ask("rows", { rows, text, solved, offset: 0, limit: 100 });
    fill(list, h("p", { class: "muted" }, `${count(found.num_found)} rows, the last ones first`), found.rows.map((row) => h("details", { class: "row" },
      h("summary", null, h("span", { class: row.correct ? "good" : "bad" }, row.correct ? "✓ right" : row.correct === false ? "✗ wrong" : "? not graded"), " ", row.problem,
        h("span", { class: "muted" }, ` ${row.method ?? row.strategy}: `), row.answer === null ? "no answer" : brief(row.answer, 60), h("span", { class: "muted" }, ` (reference ${brief(row.reference ?? "none", 60)}, confidence ${percent(row.confidence)}, ${count(row.tokens_generated)} tokens)`)),
      verbatim(row.solution, "code", "solution"))));
  };
  fill(main, h("h1", null, words.rows), h("p", { class: "tools" },
    h("label", null, "search ", h("input", { type: "search", id: "search", value: words.text ?? "", oninput: (e) => show({ text: e.target.value }) })),
    pick("answers", [["", "all"], ["yes", "right"], ["no", "wrong"]], words.solved ?? "", (solved) => show({ solved }))), list);
  await show({});
}

/** A choice of a few values. */
export function pick(name, options, value, told) {
  return h("label", null, `${name} `, h("select", { onchange: (e) => told(e.target.value) }, options.map(([v, text]) => h("option", { value: v, selected: v === value }, text))));
}
