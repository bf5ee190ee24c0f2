// The problems of a set of trees; the trees of one problem.

import { ask, hear, isExported } from "./api.js";
import { brief, count, fill, h, percent, verbatim } from "./dom.js";
import { change, to } from "./route.js";
import { pick, table } from "./runs.js";
import { setKeys } from "./keys.js";

const PAGE = 100;
const COLUMNS = [["problem", "problem"], ["", "question"], ["tier", "tier"], ["num_trees", "trees"], ["num_solved", "solved"], ["num_rollouts", "rollouts"], ["share_correct", "right"], ["disagreement", "disagreement"], ["num_nodes", "nodes"], ["tokens", "tokens"]];
const NUMBERS = new Set(["num_trees", "num_rollouts", "share_correct", "disagreement", "num_nodes", "tokens"]);

export async function problemsPage(main, words, signal) {
  const place = h("div", null), told = h("p", { class: "muted", role: "status" });
  const growing = h("div", { class: "growing" });
  let asked = 0;
  const show = async (changed) => {
    Object.assign(words, changed);
    change(changed);
    const number = ++asked;
    const { set, text = "", tier = "", solved = "", suspect = "", sort = "order", descending = "", offset = 0 } = words;
    const found = await (isExported() ? askExported(words) : ask("problems", { set, text, tier, solved, suspect, sort, descending, offset, limit: PAGE }));
    if (number !== asked) return;
    const first = Number(offset);
    fill(told, `${count(found.num_found)} of ${count(found.num_all)} problems`, found.num_found > PAGE ? `, ${count(first + 1)} to ${count(Math.min(first + PAGE, found.num_found))}` : "");
    fill(place, problemsTable(found.rows, words, show), pages(found, first, show));
    fill(tierPick, pick("tier", [["", "any"], ...found.tiers.map((t) => [t, t])], tier, (tier) => show({ tier, offset: 0 })));
  };
  const tierPick = h("span", null);
  const search = h("input", { type: "search", id: "search", value: words.text ?? "", placeholder: "words, ids, answers", oninput: (e) => show({ text: e.target.value, offset: 0 }) });
  fill(main, h("h1", null, words.set), h("p", { class: "tools" }, h("label", null, "search ", search), tierPick,
    pick("solved", [["", "all"], ["yes", "solved"], ["no", "not solved"]], words.solved ?? "", (solved) => show({ solved, offset: 0 })),
    h("label", null, h("input", { type: "checkbox", checked: words.suspect === "1", onchange: (e) => show({ suspect: e.target.checked ? "1" : "", offset: 0 }) }), " suspect reference")), growing, told, place);
  setKeys([
    { key: "/", what: "search", act: () => search.focus() },
    { key: "j", what: "next problem", act: () => step(place, 1) },
    { key: "k", what: "problem before", act: () => step(place, -1) },
    { key: "n", what: "next page", act: () => place.querySelector("[data-next]")?.click() },
    { key: "p", what: "page before", act: () => place.querySelector("[data-before]")?.click() },
  ]);
  await show({});
  let num = null;
  hear({ set: words.set }, signal, (state) => {
    fill(growing, state.growing?.length ? h("p", null, "growing now: ", state.growing.slice(0, 12).map((t) => h("a", { href: to("tree", { set: words.set, tree: t.tree }) }, `${t.problem} (${count(t.num_nodes)} nodes) `))) : null);
    if (num !== null && state.num_trees !== num) show({});
    num = state.num_trees;
  });
}

function step(place, by) {
  const links = [...place.querySelectorAll("th a")];
  links[Math.min(links.length - 1, Math.max(0, links.indexOf(document.activeElement) + by))]?.focus();
}

function problemsTable(rows, words, show) {
  const head = COLUMNS.map(([sort, name]) => {
    if (!sort) return h("th", { scope: "col" }, name);
    const isSorted = words.sort === sort, down = words.descending === "1";
    const turn = () => show(isSorted && down ? { sort: "order", descending: "", offset: 0 } : { sort, descending: isSorted ? "1" : "", offset: 0 });
    return h("th", { scope: "col", class: NUMBERS.has(sort) ? "number" : null, "aria-sort": isSorted ? (down ? "descending" : "ascending") : "none" }, h("button", { type: "button", class: "sort", onclick: turn }, name, isSorted ? (down ? " ▼" : " ▲") : ""));
  });
  const body = rows.map((row) => h("tr", null,
    h("th", { scope: "row" }, h("a", { href: to("problem", { set: words.set, problem: row.problem }) }, brief(row.problem, 40))),
    h("td", { class: "question" }, brief(row.question, 220), row.suspect ? h("span", { class: "tag" }, "suspect reference") : null),
    h("td", null, row.tier ?? ""), h("td", { class: "number" }, count(row.num_trees)),
    h("td", { class: row.num_solved ? "good" : "bad" }, row.num_solved ? "✓ yes" : "✗ no"),
    h("td", { class: "number" }, count(row.num_rollouts)), h("td", { class: "number" }, percent(row.share_correct)),
    h("td", { class: "number" }, percent(row.disagreement)), h("td", { class: "number" }, count(row.num_nodes)), h("td", { class: "number" }, count(row.tokens))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "problems" }, h("table", { class: "problems" }, h("thead", null, h("tr", null, head)), h("tbody", null, body)));
}

function pages(found, first, show) {
  if (found.num_found <= PAGE) return null;
  const button = (name, offset, mark) => h("button", { type: "button", disabled: offset < 0 || offset >= found.num_found, [mark]: "", onclick: () => show({ offset }) }, name);
  return h("p", { class: "tools" }, button("before", first - PAGE, "data-before"), button("next", first + PAGE, "data-next"));
}

/** The same query over the problems of an exported page. */
async function askExported(words) {
  const all = await ask("problems", { set: words.set });
  const texts = (words.text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (row) => texts.every((t) => `${row.problem}\n${row.question}\n${row.reference ?? ""}`.toLowerCase().includes(t)) &&
    (!words.tier || row.tier === words.tier) && (!words.solved || (words.solved === "yes") === row.num_solved > 0) && (words.suspect !== "1" || row.suspect);
  const rows = all.rows.filter(fits), sort = words.sort ?? "order", sign = words.descending === "1" ? -1 : 1;
  rows.sort((a, b) => (a[sort] === null) - (b[sort] === null) || sign * (a[sort] < b[sort] ? -1 : a[sort] > b[sort] ? 1 : 0));
  const first = Number(words.offset ?? 0);
  return { ...all, num_found: rows.length, rows: rows.slice(first, first + PAGE) };
}

export async function problemPage(main, words) {
  const { trees, elsewhere } = await ask("trees", { set: words.set, problem: words.problem });
  if (!trees.length) throw new Error(`No tree of ${words.problem} in ${words.set}.`);
  const rows = trees.map((t) => h("tr", null,
    h("th", { scope: "row" }, h("a", { href: to("tree", { set: words.set, tree: t.tree }) }, `seed ${t.seed}`)), h("td", null, t.strategy),
    h("td", { class: t.num_correct ? "good" : "bad" }, t.num_correct ? "✓ solved" : "✗ not solved"),
    h("td", { class: "number" }, `${count(t.num_correct)} of ${count(t.num_rollouts)}`), h("td", { class: "number" }, count(t.num_nodes)), h("td", { class: "number" }, count(t.tokens)),
    h("td", null, t.answers.map((a, k) => `${brief(a, 30)} (${t.counts[k]})`).join(", "))));
  const others = Object.entries(elsewhere).flatMap(([set, ids]) => ids.map((tree) => ({ set, tree })));
  fill(main, h("h1", null, brief(words.problem, 200)), verbatim(trees[0].question, "text", "question"), h("p", { class: "muted" }, `reference ${brief(trees[0].reference ?? "none")}`),
    h("h2", null, `Trees in ${words.set}`), table(["tree", "strategy", "", "rollouts right", "nodes", "tokens", "answers"], rows, "trees of this problem"),
    others.length ? h("section", null, h("h2", null, "Trees elsewhere"), h("ul", { class: "cards" }, others.map((o) => h("li", null, h("a", { href: to("tree", o) }, `${o.set}: ${o.tree}`), " ",
      h("a", { href: to("two", { set: words.set, tree: trees[0].tree, set2: o.set, tree2: o.tree }), "aria-label": `side by side with ${o.tree} of ${o.set}` }, "side by side"))))) : null);
  setKeys([{ key: "Enter", what: "the first tree", on: "body", act: () => (location.hash = to("tree", { set: words.set, tree: trees[0].tree })) }]);
}
