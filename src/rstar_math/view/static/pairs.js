// Preference pairs, and one of them with both its sides; comparing two searches, runs or strategies.

import { ask, isExported } from "./api.js";
import { brief, count, fill, h, percent, signed, verbatim } from "./dom.js";
import { setKeys } from "./keys.js";
import { change, to } from "./route.js";
import { pick, table } from "./runs.js";

const PAIRS_A_PAGE = 100;

export async function pairsPage(main, words) {
  const offset = Number(words.offset ?? 0);
  const found = await ask("pairs", { set: words.set, problem: words.problem ?? "", offset, limit: PAIRS_A_PAGE });
  const rows = (isExported() ? found.rows.slice(offset, offset + PAIRS_A_PAGE) : found.rows).map((p) => h("tr", null,
    h("th", { scope: "row" }, h("a", { href: to("pair", { set: words.set, number: p.number }) }, `pair ${p.number}`)), h("td", null, brief(p.problem, 40)), h("td", null, p.kind),
    h("td", { class: "mono" }, brief(p.chosen, 70)), h("td", { class: "number good" }, signed(p.chosen_q)), h("td", { class: "mono" }, brief(p.rejected, 70)), h("td", { class: "number bad" }, signed(p.rejected_q))));
  const turn = (name, at) => h("button", { type: "button", disabled: at < 0 || at >= found.num_found, onclick: () => change({ offset: at }, true) }, name);
  fill(main, h("h1", null, "Preference pairs"), h("p", { class: "muted" }, `${count(found.num_found)} pairs of ${words.set}`),
    table(["pair", "problem", "kind", "preferred", "Q", "other", "Q"], rows, "preference pairs"),
    found.num_found > PAIRS_A_PAGE ? h("p", { class: "tools" }, turn("before", offset - PAIRS_A_PAGE), turn("next", offset + PAIRS_A_PAGE)) : null);
}

export async function pairPage(main, words) {
  const number = Number(words.number ?? 0);
  const pair = await ask("pair", { set: words.set, number });
  const side = (name, title) => {
    const { tree, node } = pair.sides[name];
    const link = node === null ? h("span", { class: "muted" }, "its node is no longer in the tree") : h("a", { href: to("tree", { set: words.set, tree, node }) }, `see node ${node} in its tree`);
    return h("section", { class: "half" }, h("h2", null, title), h("p", { class: name === "chosen" ? "good" : "bad" }, `Q ${signed(pair[`${name}_q`])}`), verbatim(pair[name], "code", title), h("p", null, link));
  };
  fill(main, h("h1", null, `Pair ${number} `, h("small", null, `of ${pair.num_pairs}, ${pair.problem}`)),
    h("p", { class: "muted" }, `kind ${pair.kind}, weight ${pair.weight.toFixed(3)}, one of ${pair.num_chosen} × ${pair.num_rejected} of its node`),
    h("div", { class: "halves" }, side("chosen", "Preferred"), side("rejected", "The other")),
    h("section", null, h("h2", null, "What stands before both"), verbatim(pair.prefix, "text", "prefix")));
  const turn = (by) => () => change({ number: Math.min(pair.num_pairs - 1, Math.max(0, number + by)) }, true);
  setKeys([{ key: "n", what: "next pair", act: turn(1) }, { key: "p", what: "pair before", act: turn(-1) }]);
}

const points = (share) => (share < 0 ? "−" : "+") + Math.abs(100 * share).toFixed(1);
const KINDS = { a: "solved by A, not by B", b: "solved by B, not by A", both: "solved by both", neither: "solved by neither" };

export async function comparePage(main, words) {
  const { sides } = await ask("sides");
  const names = sides.map((s) => [s.name, s.name]);
  const { a = names[0]?.[0], b = names[1]?.[0] ?? names[0]?.[0], kind = "" } = words;
  const choose = h("p", { class: "tools" }, pick("A", names, a, (v) => change({ a: v, b, kind: "" }, true)), pick("B", names, b, (v) => change({ a, b: v, kind: "" }, true)));
  if (a === undefined) return fill(main, h("h1", null, "Compare"), h("p", null, "There is nothing to compare."));
  const found = await ask("compare", { a, b, kind, offset: 0, limit: 500 });
  const d = found.difference;
  const tabs = [["", "all", found.num_common], ...Object.entries(KINDS).map(([k, name]) => [k, name, found.counts[k]])];
  const rows = found.rows.filter((row) => !kind || row.kind === kind).map((row) => {
    const tree = (side, name) => (found.kinds[side] === "trees" ? h("a", { href: to("problem", { set: name, problem: row.problem }) }, row[side] ? "✓ yes" : "✗ no") : row[side] ? "✓ yes" : "✗ no");
    const two = found.kinds.a === "trees" && found.kinds.b === "trees" ? h("a", { href: to("both", { a, b, problem: row.problem }), "aria-label": `both trees of ${row.problem}` }, "both trees") : null;
    return h("tr", null, h("th", { scope: "row" }, brief(row.problem, 40)), h("td", { class: "question" }, brief(row.question ?? "", 200)), h("td", { class: row.a ? "good" : "bad" }, tree("a", a)), h("td", { class: row.b ? "good" : "bad" }, tree("b", b)), h("td", { class: "links" }, two));
  });
  fill(main, h("h1", null, "Compare"), choose,
    h("p", { class: "verdict" }, `A solves ${percent(found.a)}, B ${percent(found.b)} of ${count(found.num_common)} problems that both have. `,
      d ? h("strong", null, `A − B: ${points(d.value)} points, 95 % interval from ${points(d.low)} to ${points(d.high)}`) : null, d ? (d.low > 0 || d.high < 0 ? "" : ": no difference is shown.") : ""),
    h("p", { class: "tools", role: "group", "aria-label": "which problems" }, tabs.map(([k, name, n]) => h("a", { class: "tab", href: to("compare", { a, b, kind: k }), "aria-current": kind === k ? "true" : null }, `${name} (${count(n)})`))),
    table(["problem", "question", "A", "B", "trees"], rows, "problems that both have"));
}

/** From a problem of two sets of trees to one tree of each, side by side. */
export async function bothPage(main, words) {
  const [a, b] = await Promise.all([words.a, words.b].map((set) => ask("trees", { set, problem: words.problem })));
  const telling = (found) => (found.trees.find((t) => t.num_correct) ?? found.trees[0]).tree;
  location.replace(to("two", { set: words.a, tree: telling(a), set2: words.b, tree2: telling(b) }));
}
