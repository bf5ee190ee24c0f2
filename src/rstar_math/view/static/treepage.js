// The page of a tree: the canvas, its tools, and beside it the step that was chosen. Two of them side by side, too.

import { ask, hear, isExported } from "./api.js";
import { COLOURS, TreeCanvas } from "./canvas.js";
import { brief, count, fill, h, say, signed } from "./dom.js";
import { setKeys } from "./keys.js";
import { change, to } from "./route.js";
import { pick } from "./runs.js";
import { showStep } from "./step.js";
import { TreeData } from "./treedata.js";

export async function treePage(main, words, signal) {
  const side = h("aside", { id: "step", "aria-label": "step" });
  const view = new TreeView(words, signal, { onNode: (i) => showStep(side, view, words, i), remember: change });
  fill(main, view.element, side);
  main.className = "with-tree";
  await view.open();
  setKeys(view.keys());
}

export async function twoPage(main, words, signal) {
  const side = h("aside", { id: "step", "aria-label": "step" });
  const make = (set, tree, node, suffix) => new TreeView({ set, tree, node, colour: words.colour }, signal, {
    onNode: (i, view) => showStep(side, view, { set, tree }, i),
    remember: (changed) => change("node" in changed ? { [`node${suffix}`]: changed.node } : changed),
  });
  const views = [make(words.set, words.tree, words.node, ""), make(words.set2, words.tree2, words.node2, "2")];
  fill(main, h("div", { class: "two" }, views.map((v) => v.element)), side);
  main.className = "with-tree";
  await Promise.all(views.map((v) => v.open()));
  let active = 0;
  views.forEach((v, k) => v.element.addEventListener("focusin", () => (active = k)));
  const both = views.map((v) => v.keys());
  setKeys([...both[0].map((k, n) => ({ ...k, act: () => both[active][n].act() })), { key: "Tab", what: "the other tree", on: "#none", act: () => {} }]);
}

/** A tree with its tools. */
class TreeView {
  constructor(words, signal, { onNode, remember }) {
    Object.assign(this, { words, signal, onNode, remember, finds: [] });
    this.canvas = h("canvas", { class: "tree", tabindex: "0", role: "application", "aria-label": "search tree; arrow keys go from node to node" });
    this.drawing = new TreeCanvas(this.canvas, (i) => {
      this.remember({ node: i });
      this.onNode(i, this);
      say(this.words_of(i));
    });
    this.head = h("div", { class: "tree-head" });
    this.slider = h("input", { type: "range", min: 0, "aria-label": "rollouts shown", oninput: () => this.replay(Number(this.slider.value)) });
    this.sliderTold = h("output", null);
    this.search = h("input", { type: "search", placeholder: "find steps", "aria-label": "find steps", value: words.find ?? "", oninput: () => this.find(this.search.value), onkeydown: (e) => e.key === "Enter" && this.next() });
    this.foundTold = h("span", { class: "muted", role: "status" });
    this.play = h("button", { type: "button", onclick: () => this.playing() }, "▶ replay");
    this.element = h("section", { class: "tree-view", "aria-label": `tree ${words.tree}` }, this.head, h("div", { class: "canvas" }, this.canvas), h("p", { class: "tools" }, this.play, this.slider, this.sliderTold));
  }

  async open() {
    await this.load();
    const { words } = this;
    for (const name of ["rejected", "unvisited"]) this.drawing.hides[name] = words[name] === "1";
    this.drawing.colour = COLOURS[words.colour] ? words.colour : this.tree.visits[0] ? "q" : "logprob";
    this.drawing.show(this.tree);
    this.#showHead();
    if (words.at) this.replay(Math.min(Number(words.at) || 0, this.tree.rollouts.length));
    if (words.find) this.find(words.find);
    const asked = Number(words.node);
    const node = words.node !== undefined && asked >= 0 && asked < this.tree.n ? asked : this.tree.bestEnd >= 0 ? this.tree.bestEnd : 0;
    this.drawing.chosen = node;
    if (words.node !== undefined) this.drawing.reveal(node);
    this.onNode(node, this);
    this.drawing.draw();
    this.#listen();
  }

  async load() {
    this.tree = new TreeData(await ask("tree", { set: this.words.set, tree: this.words.tree }));
  }

  words_of(i) {
    const { tree } = this;
    const parts = [tree.label(i), tree.correct(i) === true ? "right" : tree.correct(i) === false ? "wrong" : "", tree.isRejected(i) ? "rejected" : "", `${tree.visits[i]} visits`, tree.visits[i] ? `Q ${signed(tree.q(i))}` : ""];
    return parts.filter(Boolean).join(", ");
  }

  replay(k) {
    const last = this.tree.rollouts.length;
    this.drawing.at = k >= last ? Infinity : k - 1;
    this.slider.value = k;
    fill(this.sliderTold, `rollout ${k} of ${last}`);
    if (k > 0 && k < last) this.drawing.chosen = this.tree.rollouts[k - 1];
    if (k > 0 && k < last) this.onNode(this.drawing.chosen, this);
    this.remember({ at: k >= last ? "" : k });
    this.drawing.draw();
  }

  playing() {
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = null;
      fill(this.play, "▶ replay");
      return;
    }
    const last = this.tree.rollouts.length;
    if (Number(this.slider.value) >= last) this.replay(0);
    fill(this.play, "❚❚ pause");
    const pace = Math.max(60, Math.min(700, 12000 / Math.max(1, last)));
    this.timer = setInterval(() => {
      this.replay(Number(this.slider.value) + 1);
      if (Number(this.slider.value) >= last) this.playing();
    }, pace);
    this.signal.addEventListener("abort", () => clearInterval(this.timer));
  }

  find(text) {
    const wanted = text.trim().toLowerCase();
    const fits = this.tree.labels.map((l) => l.toLowerCase().includes(wanted));
    this.finds = [];
    if (wanted) for (let i = 1; i < this.tree.n; i++) if (fits[this.tree.labelOf[i]]) this.finds.push(i);
    this.drawing.found = wanted ? new Set(this.finds) : null;
    fill(this.foundTold, wanted ? `${count(this.finds.length)} found` : "");
    this.remember({ find: text });
    this.drawing.draw();
  }

  next() {
    const after = this.finds.find((i) => i > this.drawing.chosen) ?? this.finds[0];
    if (after !== undefined) this.drawing.choose(after);
  }

  toggle(name) {
    this.drawing.hides[name] = !this.drawing.hides[name];
    this.remember({ [name]: this.drawing.hides[name] ? "1" : "" });
    this.drawing.layOut();
    this.drawing.fit();
    this.#showHead();
  }

  colour(name) {
    this.drawing.setColour(name);
    this.remember({ colour: name });
    this.#showHead();
  }

  keys() {
    const { drawing } = this, on = "body";
    const go = (way) => () => drawing.choose(drawing.neighbour(way));
    const names = Object.keys(COLOURS);
    return [
      { key: "ArrowLeft", what: "to the step before", on, act: go("parent") },
      { key: "ArrowRight", what: "to the step behind that was visited most", on, act: go("child") },
      { key: "ArrowUp", what: "to the node above", on, act: go("up") },
      { key: "ArrowDown", what: "to the node below", on, act: go("down") },
      { key: "Home", what: "to the question", on, act: () => drawing.choose(0) },
      { key: "End", what: "to the best answer", on, act: () => this.tree.bestEnd >= 0 && drawing.choose(this.tree.bestEnd) },
      { key: "+", what: "nearer", on, act: () => drawing.zoom(1.3) },
      { key: "-", what: "farther", on, act: () => drawing.zoom(1 / 1.3) },
      { key: "0", what: "the whole tree", on, act: () => drawing.fit() },
      { key: "c", what: "colour by the next measure", on, act: () => this.colour(names[(names.indexOf(drawing.colour) + 1) % names.length]) },
      { key: "x", what: "hide or show rejected candidates", on, act: () => this.toggle("rejected") },
      { key: "v", what: "hide or show what was never visited", on, act: () => this.toggle("unvisited") },
      { key: " ", what: "replay the rollouts, or stop", on, act: () => this.playing() },
      { key: "[", what: "one rollout back", on, act: () => this.replay(Math.max(0, Number(this.slider.value) - 1)) },
      { key: "]", what: "one rollout on", on, act: () => this.replay(Math.min(this.tree.rollouts.length, Number(this.slider.value) + 1)) },
      { key: "/", what: "find steps", on, act: () => this.search.focus() },
      { key: "n", what: "next step found", on, act: () => this.next() },
      { key: "r", what: "run the step again", on, act: () => document.getElementById("again")?.click() },
    ];
  }

  #showHead() {
    const { tree, drawing, words } = this;
    const right = new Set(tree.rollouts.filter((i) => tree.correct(i)));
    const box = (name, text) => h("label", null, h("input", { type: "checkbox", checked: drawing.hides[name], onchange: () => this.toggle(name) }), ` ${text}`);
    const told = [tree.strategy, `${count(tree.rollouts.length)} rollouts`, `${count(tree.n)} nodes`, `${count(tree.cost?.tokens_generated)} tokens`, tree.stopped ? `stopped: ${tree.stopped}` : "growing"].join(" · ");
    this.slider.max = tree.rollouts.length;
    this.slider.value = drawing.at === Infinity ? tree.rollouts.length : drawing.at + 1;
    fill(this.sliderTold, `rollout ${this.slider.value} of ${tree.rollouts.length}`);
    fill(this.head, h("h1", null, h("a", { href: to("problem", { set: words.set, problem: tree.problem.id }) }, brief(tree.problem.id, 60)), h("small", null, ` ${words.set}, seed ${tree.seed}`)),
      h("p", { class: "question" }, brief(tree.problem.question, 600)),
      h("p", { class: "muted" }, `reference ${brief(tree.problem.answer ?? "none", 80)} · `, h("span", { class: right.size ? "good" : "bad" }, right.size ? "✓ solved" : "✗ not solved"), ` · ${told}`),
      h("p", { class: "tools" }, pick("colour", Object.entries(COLOURS).map(([k, c]) => [k, c.name]), drawing.colour, (k) => this.colour(k)), legend(drawing.colour), box("rejected", "hide rejected"), box("unvisited", "hide unvisited"), this.search, this.foundTold,
        h("button", { type: "button", onclick: () => drawing.fit() }, "whole tree")));
  }

  #listen() {
    if (isExported() || this.signal.aborted) return;
    let seen = null, isLoading = false;
    hear({ set: this.words.set }, this.signal, async (state) => {
      const mine = state.growing?.find((t) => t.tree === this.words.tree);
      const size = mine ? mine.num_nodes + mine.num_rollouts / 1e6 : "whole";
      if (seen === null && !mine) seen = size;
      if (size === seen || isLoading) return;
      seen = size;
      isLoading = true;
      try {
        await this.load();
        this.drawing.show(this.tree);
        this.#showHead();
      } finally {
        isLoading = false;
      }
    });
  }
}

function legend(colour) {
  const [low, high] = COLOURS[colour].range.map((v) => (colour === "visits" ? String(2 ** v) : String(v).replace("-", "−")));
  return h("span", { class: "legend" }, low, h("span", { class: "ramp", role: "img", "aria-label": "from low, orange, to high, blue" }), high);
}
