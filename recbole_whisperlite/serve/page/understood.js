// What was understood of a request, as chips that can be taken away.

import { chip, element } from "/page/elements.js";

// What a list of refusals is joined by, in the languages that are read.
const JOINTS = /\s*[,;]\s*(?:(?:or|nor|oder|ou|o|ni)\s+)?|\s+(?:or|nor|oder|ou|ni)\s+/iu;
const EDGES = /^[\s,;.:!?–—-]+|[\s,;:–—-]+$/gu;

/** Return what is ruled out, one by one: "stripes or dots" is two. */
export const refusals = (understood) =>
  understood.ruled_out.split(JOINTS).filter((each) => /[\p{L}\p{N}]/u.test(each));

/**
 * Return a request without its wish: what it rules out, as it was typed if possible.
 */
export function withoutWish(request, { wish, ruled_out: ruledOut }) {
  const rest = request.includes(wish) ? request.replace(wish, " ") : "";
  const isWhole = wish && rest.includes(ruledOut);
  return isWhole ? tidy(rest) : `no ${ruledOut}`;
}

/** Return a request without one of the things that it rules out. */
export function withoutRefusal(request, understood, number) {
  const left = refusals(understood).filter((_, each) => each !== number);
  const word = negation(request, understood);
  return [understood.wish, ...left.map((each) => `${word} ${each}`)].filter(Boolean).join(", ");
}

/** Return the word that rules something out in a request. */
function negation(request, { ruled_out: ruledOut }) {
  const before = request.slice(0, Math.max(request.indexOf(ruledOut), 0));
  return /(?:^|[\s,;])([\p{L}']+)\s+$/u.exec(before)?.[1] ?? "no";
}

const tidy = (text) => text.replace(EDGES, "").replace(/\s+/gu, " ");

/**
 * Return the chips of an answer.
 *
 * @param {{request: string, understood: Object}} answer
 * @param {function(string)} ask Asks another request instead.
 */
export function chips({ request, understood }, ask) {
  const ruledOut = refusals(understood);
  const list = element("ul", { class: "chips", "aria-label": "What was understood" });
  if (understood.wish) {
    const rest = ruledOut.length ? withoutWish(request, understood) : "";
    list.append(one("wish", understood.wish, () => ask(rest)));
  }
  ruledOut.forEach((text, number) => {
    const rest = withoutRefusal(request, understood, number);
    list.append(one("ruled out", text, () => ask(rest)));
  });
  return list;
}

function one(kind, text, take) {
  const said = element("span", { class: "what" }, text);
  const label = `Take away: ${kind}, ${text}`;
  const attributes = { class: kind === "wish" ? "chip" : "chip against" };
  const parts = [element("small", {}, kind), said];
  return element("li", {}, chip(parts, label, take, attributes));
}
