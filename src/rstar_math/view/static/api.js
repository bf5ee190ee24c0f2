// What the page asks for: of the server that it came from, or of the answers that stand in an exported page.

import { unpacked } from "./treedata.js";

let embedded = null;
let key = null;

/** Whether this page is a file with all its answers in it. */
export function isExported() {
  return embedded !== null;
}

/** Takes the answers out of an exported page; does nothing elsewhere. */
export async function openEmbedded() {
  const element = document.getElementById("answers");
  if (!element) return;
  const packed = unpacked(element.textContent.trim());
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  embedded = JSON.parse(await new Response(stream).text());
}

/** An answer by name and words; throws an Error that says what is wrong. */
export async function ask(name, words = {}) {
  const address = new URLSearchParams(words).toString();
  if (embedded) {
    const found = embedded[name + "?" + new URLSearchParams(KEPT[name] ? KEPT[name].map((w) => [w, words[w]]) : words)];
    if (found && name === "node") return stepsTo(found.nodes, Number(words.node));
    if (found === undefined) throw new Error("This is not in the exported page: it holds only what was chosen then.");
    return found;
  }
  return read(await send(`api/${name}?${address}`));
}

// The words by which an exported page knows an answer, where it leaves some out.
const KEPT = { pairs: ["set"], rows: ["rows"], compare: ["a", "b"], node: ["set", "tree"] };

function stepsTo(nodes, at) {
  const steps = [];
  for (let i = at; i > 0; i = nodes[i].parent) steps.push(nodes[i]);
  return { steps: steps.reverse(), children: nodes.filter((node) => node.parent === at).map((node) => node.index) };
}

/** Runs a step once more. */
export async function runAgain(what) {
  if (embedded) throw new Error("A step runs again on a live page: rstar view.");
  return read(await send("api/again", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) }));
}

/** One request of a lesson. */
export async function learn(what) {
  return read(await send("api/learn", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) }));
}

/** Hears what changes, until the signal aborts; comes back by itself where the connection breaks. */
export async function hear(words, signal, told) {
  if (embedded) return;
  while (!signal.aborted) {
    try {
      const reply = await send(`api/live?${new URLSearchParams(words)}`, { signal });
      if (!reply.ok) return;
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n\n");
        rest = lines.pop();
        for (const line of lines) if (line.startsWith("data: ")) told(JSON.parse(line.slice(6)));
      }
    } catch (error) {
      if (signal.aborted) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function send(address, options = {}) {
  key ??= sessionStorage.getItem("key");
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let reply;
  try {
    reply = await fetch(address, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The viewer does not answer: is rstar view still running?");
  }
  if (reply.status === 401) throw new KeyNeeded();
  return reply;
}

/** The server wants a key. */
export class KeyNeeded extends Error {}

/** The key to send from now on, for as long as this tab is open. */
export function useKey(given) {
  key = given;
  sessionStorage.setItem("key", given);
}

async function read(reply) {
  const value = await reply.json().catch(() => null);
  if (!reply.ok) throw new Error(value?.error?.message ?? `The viewer answered ${reply.status}.`);
  return value;
}
