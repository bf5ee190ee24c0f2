// Addresses: the part behind # names a view and its words, so that reloading or sending it shows the same.

/** View and words of the address. */
export function here() {
  const [view, words] = splitOnce(location.hash.replace(/^#\/?/, ""), "?");
  return { view: view || "runs", words: Object.fromEntries(new URLSearchParams(words)) };
}

/** The address of a view; empty words are left out. */
export function to(view, words = {}) {
  const kept = Object.entries(words).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  const query = new URLSearchParams(kept.map(([name, value]) => [name, value === true ? "1" : String(value)])).toString();
  return `#/${view}${query ? "?" + query : ""}`;
}

/** Changes the words of this address; `isStep`: as a step that Back undoes. */
export function change(words, isStep = false) {
  const { view, words: old } = here();
  const next = to(view, { ...old, ...words });
  if (next === location.hash) return;
  if (isStep) location.hash = next;
  else history.replaceState(null, "", next);
}

function splitOnce(text, at) {
  const place = text.indexOf(at);
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}
