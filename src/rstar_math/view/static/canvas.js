// The tree on a canvas. From far, cells whose height is what lies below them; from near, nodes with their words.

import { signed } from "./dom.js";
import { Layout } from "./treedata.js";

const NEAR = 12, MIDDLE = 4, NARROWEST = 158, WIDEST = 270, VALUE = 46;
const SCALE = ["#8f3d00", "#b85a13", "#d98643", "#e8b78c", "#a9adb3", "#9cbfe0", "#5b97cf", "#2a6fb3", "#0b4a8a"];
const NONE = SCALE.length;

/** What nodes can be coloured by. */
export const COLOURS = {
  q: { name: "Q value", of: (tree, i) => tree.q(i), range: [-1, 1] },
  score: { name: "reward model", of: (tree, i) => tree.score[i], range: [-1, 1] },
  logprob: { name: "log-probability", of: (tree, i) => (i ? tree.logprob[i] : NaN), range: [-6, 0] },
  visits: { name: "visits", of: (tree, i) => (tree.visits[i] ? Math.log2(tree.visits[i]) : NaN), range: [0, 6] },
};

/** A colour #rrggbb as a pixel of ImageData. */
function asPixel(hex) {
  const value = parseInt(hex.slice(1), 16);
  return ((255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

export class TreeCanvas {
  /** `told(node)` hears which node was chosen. */
  constructor(canvas, told) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.told = told;
    this.chosen = -1;
    this.at = Infinity;
    this.colour = "q";
    this.found = null;
    this.hides = { rejected: false, unvisited: false };
    this.frames = 0;
    this.#listen();
  }

  /** Shows a tree; keeps the place where it is the same one, grown. */
  show(tree) {
    const isSame = this.tree?.id === tree.id;
    this.tree = tree;
    this.layOut();
    if (!isSame) this.fit();
    this.draw();
  }

  layOut() {
    const { tree, hides } = this;
    const isHidden = (i) => (hides.rejected && tree.isRejected(i)) || (hides.unvisited && !tree.visits[i]);
    this.layout = new Layout(tree, isHidden);
    this.#shades = null;
    this.row ??= 1;
    this.draw();
  }

  setColour(colour) {
    this.colour = colour;
    this.#shades = null;
    this.draw();
  }

  /** The whole tree in sight, as far as rows have a height that can be seen. */
  fit() {
    this.#measure();
    this.row = Math.max(this.height / Math.max(1, this.layout.rows), 0.002);
    if (this.row > 26) this.row = 26;
    if (this.row > MIDDLE && this.row < NEAR && this.layout.rows < 120) this.row = NEAR + 4;
    this.left = -12;
    this.upper = this.row * this.layout.rows > this.height ? 0 : (this.layout.rows - this.height / this.row) / 2;
    if (this.row * this.layout.rows > this.height) this.upper = this.layout.y[0] - this.height / this.row / 2;
    this.draw();
  }

  /** Brings a node into sight. */
  reveal(i) {
    if (this.layout.y[i] < 0) return;
    this.#measure();
    const x = this.tree.depth[i] * this.column - this.left;
    const y = (this.layout.y[i] - this.upper) * this.row;
    if (y < 20 || y > this.height - 20) this.upper = this.layout.y[i] - this.height / this.row / 2;
    if (x < 0 || x > this.width - Math.min(this.column, this.width / 2)) this.left = Math.max(-12, this.tree.depth[i] * this.column - this.width / 3);
    this.draw();
  }

  choose(i, isQuiet = false) {
    this.chosen = i;
    this.reveal(i);
    this.draw();
    if (!isQuiet) this.told(i);
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const rowThere = this.upper + y / this.row;
    const depthThere = (this.left + x) / this.column;
    this.row = Math.min(40, Math.max(Math.min(1, this.height / this.layout.rows) * 0.8, this.row * factor));
    this.upper = rowThere - y / this.row;
    this.left = depthThere * this.column - x;
    this.draw();
  }

  pan(dx, dy) {
    this.left += dx;
    this.upper += dy / this.row;
    const rows = this.height / this.row;
    this.upper = Math.min(Math.max(this.upper, -rows * 0.5), this.layout.rows - rows * 0.5);
    this.left = Math.min(Math.max(this.left, -this.width * 0.5), (this.tree.maxDepth + 1) * this.column - this.width * 0.3);
    this.draw();
  }

  get column() {
    const far = Math.max(28, (this.width - 24) / (this.tree.maxDepth + 1));
    const near = Math.min(1, Math.max(0, (this.row - 5) / (NEAR - 5)));
    const wide = Math.min(WIDEST, Math.max(NARROWEST, far));
    return far + (wide - far) * near;
  }

  /** The node at a place of the canvas, or -1. */
  nodeAt(x, y) {
    const depth = Math.floor((x + this.left + (this.row >= MIDDLE ? 10 : 0)) / this.column);
    if (depth < 0 || depth > this.tree.maxDepth) return -1;
    const row = this.upper + y / this.row, nodes = this.layout.byDepth[depth];
    const from = this.layout.firstBelow(depth, row);
    const isIn = (i) => i !== undefined && this.tree.born[i] <= this.at;
    if (this.row < MIDDLE) return isIn(nodes[from]) && this.layout.top[nodes[from]] <= row ? nodes[from] : -1;
    let best = -1, distance = Math.max(10, this.row / 2);
    for (const k of [from - 1, from, from + 1]) {
      const away = isIn(nodes[k]) ? Math.abs(this.layout.y[nodes[k]] - row) * this.row : Infinity;
      if (away < distance) [best, distance] = [nodes[k], away];
    }
    return best;
  }

  /** The next node in a direction, seen from the chosen one: "parent", "child", "up" or "down". */
  neighbour(direction) {
    const i = Math.max(0, this.chosen), { tree, layout } = this;
    if (direction === "parent") return i ? tree.parent[i] : 0;
    if (direction === "child") {
      const below = tree.children(i).filter((c) => layout.y[c] >= 0);
      return below.sort((a, b) => tree.visits[b] - tree.visits[a])[0] ?? i;
    }
    const nodes = layout.byDepth[tree.depth[i]];
    return nodes[nodes.indexOf(i) + (direction === "down" ? 1 : -1)] ?? i;
  }

  draw() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.#draw();
      this.frames++;
      this.drawn?.();
    });
  }

  #shades = null;

  #shade(i) {
    if (!this.#shades) {
      const { of, range } = COLOURS[this.colour];
      this.#shades = new Uint8Array(this.tree.n);
      for (let k = 0; k < this.tree.n; k++) {
        const value = of(this.tree, k);
        const share = Math.min(1, Math.max(0, (value - range[0]) / (range[1] - range[0])));
        this.#shades[k] = Number.isNaN(value) ? NONE : Math.min(SCALE.length - 1, Math.floor(share * SCALE.length));
      }
    }
    return this.#shades[i];
  }

  #measure() {
    const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    this.width = Math.max(50, box.width);
    this.height = Math.max(50, box.height);
    const [w, hh] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== hh) [this.canvas.width, this.canvas.height] = [w, hh];
    this.ratio = ratio;
  }

  #draw() {
    if (!this.tree) return;
    this.#measure();
    const { context: c } = this;
    const style = getComputedStyle(this.canvas);
    this.ink = style.getPropertyValue("--ink").trim();
    this.faint = style.getPropertyValue("--line").trim();
    this.paper = style.getPropertyValue("--paper").trim();
    this.accent = style.getPropertyValue("--accent").trim();
    this.mark = style.getPropertyValue("--mark").trim();
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.clearRect(0, 0, this.width, this.height);
    if (this.row < MIDDLE) this.#drawCells();
    else this.#drawNodes();
  }

  #drawCells() {
    const { tree, layout, row, column, context: c } = this;
    const bottom = this.upper + this.height / row, lines = Math.ceil(this.height * this.ratio), perRow = row * this.ratio;
    const pixels = new Uint32Array((tree.maxDepth + 1) * lines), colours = [...SCALE, this.faint].map(asPixel), depths = tree.maxDepth + 1;
    const marks = new Path2D(), best = new Path2D();
    for (let depth = 0; depth < depths; depth++) {
      const x = depth * column - this.left;
      if (x + column < 0 || x > this.width) continue;
      const nodes = layout.byDepth[depth];
      let line = -1, weight = -1;
      for (let k = layout.firstBelow(depth, this.upper); k < nodes.length; k++) {
        const i = nodes[k];
        if (layout.top[i] > bottom) break;
        if (tree.born[i] > this.at) continue;
        const from = Math.max(0, Math.floor((layout.top[i] - this.upper) * perRow)), to = Math.min(lines, Math.floor((layout.bottom[i] - this.upper) * perRow));
        const isMarked = this.found?.has(i);
        if (isMarked || tree.best[i]) (isMarked ? marks : best).rect(x, from / this.ratio, column - 1, Math.max(2, (to - from) / this.ratio));
        if (to - from <= 1) {
          const mine = tree.visits[i] + (tree.right[i] ? 1e6 : 0);
          if (from === line && mine <= weight) continue;
          [line, weight] = [from, mine];
        }
        const colour = colours[this.#shade(i)], end = Math.max(from + 1, to - (to - from > 4 ? 1 : 0));
        for (let y = from; y < end; y++) pixels[y * depths + depth] = colour;
      }
    }
    this.cells ??= document.createElement("canvas");
    [this.cells.width, this.cells.height] = [depths, lines];
    this.cells.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), depths, lines), 0, 0);
    c.imageSmoothingEnabled = false;
    for (let depth = 0; depth < depths; depth++) c.drawImage(this.cells, depth, 0, 1, lines, depth * column - this.left, 0, column - 1, this.height);
    c.lineWidth = 1.5;
    c.strokeStyle = this.ink;
    c.stroke(best);
    c.strokeStyle = this.mark;
    c.stroke(marks);
    if (this.chosen >= 0 && layout.y[this.chosen] >= 0) {
      for (const i of tree.path(this.chosen)) {
        const y = (layout.top[i] - this.upper) * row, high = Math.max(3, (layout.bottom[i] - layout.top[i]) * row);
        c.strokeStyle = this.accent;
        c.lineWidth = i === this.chosen ? 3 : 1.5;
        c.strokeRect(tree.depth[i] * column - this.left, y, column - 1, high);
      }
    }
  }

  #drawNodes() {
    const { tree, layout, row, column, context: c } = this;
    const bottom = this.upper + this.height / row;
    const isNear = row >= NEAR, seen = [];
    const lines = new Path2D(), bestLines = new Path2D(), chosenLines = new Path2D();
    const onPath = new Set(this.chosen > 0 ? tree.path(this.chosen) : []);
    const place = (i) => [tree.depth[i] * column - this.left, (layout.y[i] - this.upper) * row];
    for (let depth = 0; depth <= tree.maxDepth; depth++) {
      const x = depth * column - this.left;
      if (x > this.width || x + 2 * column < 0) continue;
      const nodes = layout.byDepth[depth];
      for (let k = layout.firstBelow(depth, this.upper); k < nodes.length; k++) {
        const i = nodes[k];
        if (layout.top[i] > bottom) break;
        if (tree.born[i] > this.at) continue;
        seen.push(i);
        if (!i) continue;
        const [px, py] = place(tree.parent[i]), y = (layout.y[i] - this.upper) * row;
        const turn = x - Math.min(24, column * 0.18);
        const path = onPath.has(i) ? chosenLines : tree.best[i] ? bestLines : lines;
        path.moveTo(px + (isNear ? this.#wide(tree.parent[i]) : 3), py);
        path.lineTo(turn, py);
        path.lineTo(turn, y);
        path.lineTo(x, y);
      }
    }
    c.lineWidth = 1;
    c.strokeStyle = this.faint;
    c.stroke(lines);
    c.lineWidth = 2;
    c.strokeStyle = this.ink;
    c.stroke(bestLines);
    c.lineWidth = 2.5;
    c.strokeStyle = this.accent;
    c.stroke(chosenLines);
    c.textBaseline = "middle";
    c.font = "12px system-ui, sans-serif";
    for (const i of seen) {
      const [x, y] = place(i);
      if (isNear) this.#box(i, x, y);
      else this.#dot(i, x, y);
    }
  }

  #dot(i, x, y) {
    const { tree, context: c, row } = this;
    const size = Math.min(row * 0.45, 2 + Math.log2(1 + tree.visits[i]));
    c.fillStyle = this.#shade(i) === NONE ? this.faint : SCALE[this.#shade(i)];
    c.beginPath();
    if (tree.isAnswer(i)) c.rect(x - size, y - size, 2 * size, 2 * size);
    else c.arc(x, y, size, 0, 7);
    c.fill();
    this.#ring(i, () => c.stroke());
  }

  #wide(i) {
    return Math.min(this.column - 26, VALUE + 22 + 6.4 * this.tree.label(i).length);
  }

  #box(i, x, y) {
    const { tree, context: c } = this;
    const high = Math.min(this.row - 2, 20), wide = this.#wide(i);
    const shade = this.#shade(i), isRejected = tree.isRejected(i);
    c.globalAlpha = isRejected ? 0.55 : 1;
    c.fillStyle = this.paper;
    c.strokeStyle = this.faint;
    c.lineWidth = 1;
    c.beginPath();
    c.rect(x, y - high / 2, wide, high);
    c.fill();
    c.stroke();
    c.fillStyle = shade === NONE ? this.faint : SCALE[shade];
    c.fillRect(x, y - high / 2, VALUE - 4, high);
    c.fillStyle = shade === NONE ? this.ink : shade >= 2 && shade <= 5 ? "#111" : "#fff";
    const value = COLOURS[this.colour].of(tree, i);
    const words = isRejected ? "✕" : this.colour === "visits" ? (tree.visits[i] ? String(tree.visits[i]) : "–") : signed(value);
    c.fillText(words, x + 4, y + 0.5);
    c.fillStyle = this.ink;
    const sign = tree.correct(i) === true ? "✓ " : tree.correct(i) === false ? "✗ " : "";
    const text = sign + (tree.isAnswer(i) ? tree.label(i).replace(/^answer: /, "") : tree.label(i)), most = Math.max(3, Math.floor((wide - VALUE - 4) / 6.1));
    c.fillText(text.length > most ? text.slice(0, most - 1) + "…" : text, x + VALUE + 1, y + 0.5, wide - VALUE - 3);
    c.globalAlpha = 1;
    c.beginPath();
    c.rect(x - 1, y - high / 2 - 1, wide + 2, high + 2);
    this.#ring(i, () => c.stroke());
  }

  #ring(i, stroke) {
    const { context: c } = this;
    const kind = i === this.chosen ? this.accent : this.found?.has(i) ? this.mark : null;
    if (!kind) return;
    c.strokeStyle = kind;
    c.lineWidth = i === this.chosen ? 3 : 2;
    stroke();
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      if (event.shiftKey) this.pan(event.deltaY, 0);
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(event.deltaX, 0);
      else this.zoom(Math.exp(-event.deltaY * 0.0022), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    const held = new Map();
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, [event.clientX, event.clientY]);
      moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      if (held.size === 2) {
        const other = [...held].find(([id]) => id !== event.pointerId)[1];
        const apart = (x, y) => Math.hypot(x - other[0], y - other[1]) || 1;
        this.zoom(apart(event.clientX, event.clientY) / apart(...before));
      } else this.pan(-dx, -dy);
      moved += Math.abs(dx) + Math.abs(dy);
      held.set(event.pointerId, [event.clientX, event.clientY]);
    });
    canvas.addEventListener("pointerup", (event) => {
      held.delete(event.pointerId);
      if (moved > 5) return;
      const box = canvas.getBoundingClientRect();
      const i = this.nodeAt(event.clientX - box.left, event.clientY - box.top);
      if (i >= 0) this.choose(i);
    });
    canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
    new ResizeObserver(() => this.tree && this.draw()).observe(canvas);
  }
}
