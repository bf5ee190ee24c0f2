// A tree as typed arrays, and where its nodes lie. No drawing here.

export const TERMINALS = [null, "answer", "dead end", "depth limit"];
export const STATUSES = [null, "ok", "error", "CPU limit", "wall limit", "memory limit", "output limit", "killed"];
const GRADED = 4, CORRECT = 8, REJECTED = 16;

/** Bytes of base64. */
export function unpacked(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
  return bytes;
}

/** The tree of an answer of the server. */
export class TreeData {
  constructor(answer) {
    const bytes = (name) => unpacked(answer.columns[name]);
    const ints = (name) => new Int32Array(bytes(name).buffer);
    const floats = (name) => new Float32Array(bytes(name).buffer);
    Object.assign(this, { id: answer.id, problem: answer.problem, strategy: answer.strategy, seed: answer.seed });
    Object.assign(this, { stopped: answer.stopped, cost: answer.cost, rollouts: answer.rollouts, labels: answer.labels });
    this.n = answer.num_nodes;
    this.parent = ints("parent");
    this.visits = ints("visits");
    this.proposed = ints("proposed");
    this.tokens = ints("tokens");
    this.valueSum = floats("value_sum");
    this.score = floats("score");
    this.logprob = floats("logprob");
    this.flags = bytes("flags");
    this.status = bytes("status");
    this.labelOf = ints("label");
    this.#link();
    this.#follow();
  }

  label(i) {
    return i ? this.labels[this.labelOf[i]] || "(empty)" : "question";
  }

  q(i) {
    return this.visits[i] ? this.valueSum[i] / this.visits[i] : NaN;
  }

  terminal(i) {
    return TERMINALS[this.flags[i] & 3];
  }

  isAnswer(i) {
    return (this.flags[i] & 3) === 1;
  }

  /** true, false, or null where nobody asked. */
  correct(i) {
    return this.flags[i] & GRADED ? Boolean(this.flags[i] & CORRECT) : null;
  }

  isRejected(i) {
    return Boolean(this.flags[i] & REJECTED);
  }

  children(i) {
    const found = [];
    for (let c = this.firstChild[i]; c >= 0; c = this.nextSibling[c]) found.push(c);
    return found;
  }

  /** From the root's child down to the node. */
  path(i) {
    const found = [];
    for (; i > 0; i = this.parent[i]) found.push(i);
    return found.reverse();
  }

  #link() {
    const n = this.n;
    this.firstChild = new Int32Array(n).fill(-1);
    this.nextSibling = new Int32Array(n).fill(-1);
    this.depth = new Int32Array(n);
    const last = new Int32Array(n).fill(-1);
    this.maxDepth = 0;
    for (let i = 1; i < n; i++) {
      const p = this.parent[i];
      this.depth[i] = this.depth[p] + 1;
      if (this.depth[i] > this.maxDepth) this.maxDepth = this.depth[i];
      if (last[p] < 0) this.firstChild[p] = i;
      else this.nextSibling[last[p]] = i;
      last[p] = i;
    }
  }

  // `born`: the rollout in which a node came: its parent was on the way of none before. `best`: the path to the answer
  // that was visited most, of equal ones that of the highest value; where some are right, among those.
  #follow() {
    const onWay = new Int32Array(this.n).fill(this.rollouts.length);
    this.rollouts.forEach((end, k) => {
      for (let i = end; i >= 0 && onWay[i] > k; i = i ? this.parent[i] : -1) onWay[i] = k;
    });
    this.born = new Int32Array(this.n);
    for (let i = 1; i < this.n; i++) this.born[i] = Math.min(onWay[this.parent[i]], Math.max(0, this.rollouts.length - 1));
    const answers = [...new Set(this.rollouts)].filter((i) => this.isAnswer(i));
    const merit = (i) => [Number(this.correct(i) === true), this.visits[i], this.score[i] || this.q(i) || 0];
    answers.sort((a, b) => {
      const [x, y] = [merit(a), merit(b)];
      return y[0] - x[0] || y[1] - x[1] || y[2] - x[2];
    });
    this.bestEnd = answers[0] ?? -1;
    this.best = new Uint8Array(this.n);
    this.right = new Uint8Array(this.n);
    for (const i of this.path(this.bestEnd)) this.best[i] = 1;
    for (const end of answers) if (this.correct(end)) for (let i = end; i > 0 && !this.right[i]; i = this.parent[i]) this.right[i] = 1;
  }
}

/** Where nodes lie: rows from the top, one for each leaf; what `isHidden` says of is left out with all below it. */
export class Layout {
  constructor(tree, isHidden) {
    const n = tree.n;
    this.y = new Float32Array(n).fill(-1);
    this.top = new Float32Array(n);
    this.bottom = new Float32Array(n);
    const byDepth = Array.from({ length: tree.maxDepth + 1 }, () => []);
    let row = 0;
    const stack = [0];
    while (stack.length) {
      const i = stack.pop();
      if (i < 0) {
        const node = ~i;
        let first = -1, end = -1;
        for (let c = tree.firstChild[node]; c >= 0; c = tree.nextSibling[c]) {
          if (this.y[c] < 0) continue;
          if (first < 0) first = c;
          end = c;
        }
        this.y[node] = (this.y[first] + this.y[end]) / 2;
        this.top[node] = this.top[first];
        this.bottom[node] = this.bottom[end];
        continue;
      }
      byDepth[tree.depth[i]].push(i);
      const before = stack.length;
      stack.push(~i);
      for (let c = tree.firstChild[i]; c >= 0; c = tree.nextSibling[c]) if (!isHidden(c)) stack.push(c);
      if (stack.length === before + 1) {
        stack.pop();
        this.y[i] = row + 0.5;
        this.top[i] = row;
        this.bottom[i] = ++row;
      } else {
        stack.splice(before + 1, stack.length, ...stack.slice(before + 1).reverse());
      }
    }
    this.rows = row;
    this.byDepth = byDepth.map((nodes) => Int32Array.from(nodes));
  }

  /** Index in `byDepth[depth]` of the first node that ends below a row. */
  firstBelow(depth, row) {
    const nodes = this.byDepth[depth];
    let low = 0, high = nodes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.bottom[nodes[middle]] <= row) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
