// A step: what was written, what it printed, what is known of it; and running it once more, edited or not.

import { ask, isExported, runAgain } from "./api.js";
import { count, fill, h, say, signed, verbatim } from "./dom.js";
import { to } from "./route.js";
import { STATUSES } from "./treedata.js";

let asked = 0;

/** Shows a node of a tree beside it. */
export async function showStep(side, view, { set, tree }, i) {
  const number = ++asked;
  const data = view.tree;
  const { steps } = i ? await ask("node", { set, tree, node: i }) : { steps: [] };
  if (number !== asked) return;
  const facts = [
    ["visits N", count(data.visits[i])], ["Q value", signed(data.q(i))], ["reward model", signed(data.score[i])],
    ["log-probability", i ? signed(data.logprob[i]).replace("+", "") : "–"], ["tokens", count(data.tokens[i])], ["candidates with this text", count(data.proposed[i])],
  ];
  const last = steps.at(-1);
  const state = [
    data.correct(i) === true ? h("span", { class: "good" }, "✓ right answer") : data.correct(i) === false ? h("span", { class: "bad" }, "✗ wrong answer") : null,
    data.terminal(i) && !data.isAnswer(i) ? h("span", { class: "bad" }, data.terminal(i)) : null,
    last?.rejected ? h("span", { class: "bad" }, `rejected: ${last.rejected}`) : null,
    data.status[i] > 1 ? h("span", { class: "bad" }, `execution: ${STATUSES[data.status[i]]}`) : null,
  ];
  const above = i ? h("a", { href: to("tree", { set, tree, node: data.parent[i] }), onclick: (e) => go(e, view, data.parent[i]) }, "step before") : null;
  const below = data.children(i).filter((c) => data.visits[c] && !data.isRejected(c)).sort((a, b) => data.visits[b] - data.visits[a]).slice(0, 8);
  fill(side, h("h2", null, i ? `Node ${i}` : "The question", h("small", null, i ? `, step ${data.depth[i]}` : "")),
    h("p", { class: "states" }, state), h("dl", null, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    h("p", { class: "tools" }, above),
    i ? h("section", { class: "program" }, h("h3", null, "The program so far"), steps.map((s) => oneStep(s, s === last))) : verbatim(data.problem.question, "text", "question"),
    last && last.code.trim() ? again(set, tree, i, last) : null,
    below.length ? h("section", null, h("h3", null, "Steps behind it"), h("ul", { class: "below" }, below.map((c) => h("li", null, h("a", { href: to("tree", { set, tree, node: c }), onclick: (e) => go(e, view, c) }, data.label(c)), h("span", { class: "muted" }, ` N ${data.visits[c]}, Q ${signed(data.q(c))}`))))) : null);
  side.scrollTop = 0;
}

function go(event, view, i) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  view.drawing.choose(i);
  view.canvas.focus({ preventScroll: true });
}

function oneStep(step, isLast) {
  const execution = step.execution;
  return h("div", { class: isLast ? "one last" : "one" }, verbatim(step.code.trim() ? step.code : step.text.trim(), "code", `step, node ${step.index}`),
    execution?.output ? verbatim(execution.output, "output", `output of node ${step.index}`) : null,
    execution?.error ? verbatim(execution.error, "output bad", `error of node ${step.index}`) : null);
}

function again(set, tree, node, last) {
  if (isExported()) return null;
  const code = h("textarea", { rows: Math.min(14, last.code.split("\n").length + 1), spellcheck: "false", "aria-label": "code of this step, to be edited" });
  code.value = last.code.slice(0, 100000);
  const outcome = h("div", { role: "status" });
  const button = h("button", { type: "button", id: "again", onclick: run }, "Run again");
  async function run() {
    button.disabled = true;
    fill(outcome, "running in the sandbox …");
    try {
      const isEdited = code.value !== last.code;
      const { steps } = await runAgain({ set, tree, node, ...(isEdited ? { code: code.value } : {}) });
      const end = steps.at(-1);
      const isSame = end && end.index === node && !isEdited && end.before && end.before.output === end.output && end.before.status === end.status;
      const words = !end ? "There is no code to run." : end.index !== node ? `The program ended before, at node ${end.index}.` : isSame ? "The same as when it was searched." : isEdited ? "Edited." : "Not the same as when it was searched.";
      say(words);
      fill(outcome, h("p", null, words, end ? h("span", { class: "muted" }, ` ${end.status}, ${(1000 * end.seconds).toFixed(1)} ms of CPU`) : null),
        end?.output ? verbatim(end.output, "output", "output of running again") : null, end?.error ? verbatim(end.error, "output bad", "error of running again") : null,
        end && !end.output && !end.error ? h("p", { class: "muted" }, "It printed nothing.") : null);
    } catch (error) {
      fill(outcome, h("p", { class: "bad", role: "alert" }, error.message));
    }
    button.disabled = false;
  }
  return h("section", { class: "again" }, h("h3", null, "Run again"), code, h("p", { class: "tools" }, button, h("span", { class: "muted" }, "the steps before it, then this, in a fresh sandbox")), outcome);
}
