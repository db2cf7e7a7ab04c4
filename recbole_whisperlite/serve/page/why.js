// Why a product stands where it stands: the parts of its score as bars.

import { element } from "/page/elements.js";

/** What the parts are called, and what they say. */
export const PARTS = {
  text: ["Words", "How well the product's text fits the wish."],
  picture: ["Picture", "How well the product's picture fits the picture that you gave."],
  memory: [
    "Same request",
    "How often it was chosen for this very request before, against what was to be expected.",
  ],
  similar_requests: ["Similar requests", "How often it was chosen for requests that are like this."],
  refusals: ["Ruled out", "Below zero if it has what you ruled out, above if it is far from that."],
  likeness: ["Likeness", "How much it resembles the product that you pointed at."],
  history: ["History", "Resembles those products of the history that this request is about."],
  neighbors: ["Chosen together", "Chosen by those who chose what is in the history."],
  transitions: ["Chosen next", "Often chosen right after the latest product of the history."],
  nearest: ["One of yours", "Very much like a single product of the history."],
  similarity: ["Taste", "Fits the history as a whole, as learned from all shoppers."],
  popularity: ["Popularity", "How often it is chosen, whatever was asked."],
  bm25: ["Words (BM25)", "Which words of the request its text has, and how rare they are."],
  requestpop: ["Same request", "How often it was chosen for this very request before."],
  itemknn: ["Chosen together", "Chosen by those who chose what is in the history."],
  pop: ["Popularity", "How often it is chosen, whatever was asked."],
  zeroshot: ["Words (not trained)", "How near its text is to the request for the plain encoder."],
};
// Less is not to be seen.
const NOTHING = 0.0005;

const partOf = (name) => PARTS[name.toLowerCase()] ?? [name, "A part of this model's score."];
const idOf = (name) => `part-${name.replace(/\W/g, "-")}`;

/**
 * Return what the bars of an answer share: which parts say something, and their scale.
 *
 * @param {{parts: Object}[]} products
 */
export function scaleOf(products) {
  const names = Object.keys(products[0]?.parts ?? {});
  const of = (name) => products.map(({ parts }) => parts[name]);
  const used = names.filter((name) => of(name).some((value) => Math.abs(value) > NOTHING));
  const values = used.flatMap(of);
  return {
    used,
    silent: names.filter((name) => !used.includes(name)),
    low: Math.min(0, ...values),
    high: Math.max(NOTHING, ...values),
  };
}

/** Return the bars of a product, to be opened. */
export function why(product, scale, isOpen) {
  const list = element("dl", { class: "bars" });
  for (const name of scale.used) list.append(bar(name, product.parts[name], scale));
  const names = scale.silent.map((name) => partOf(name)[0]).join(", ");
  const silent = names ? element("p", {}, `No part in this answer: ${names}.`) : null;
  const times = product.times_chosen;
  const chosen = times ? element("p", {}, `Chosen ${times} × for this request before.`) : null;
  const known = element("p", {}, product.text);
  const attributes = { class: "why", open: isOpen };
  const summary = element("summary", {}, "Why");
  return element("details", attributes, summary, list, chosen, silent, known);
}

function bar(name, value, { low, high }) {
  const [title, says] = partOf(name);
  const percent = (share) => `${(100 * share) / (high - low)}%`;
  const track = element("span", { class: "track", "aria-hidden": true });
  const filled = element("i", { class: value < 0 ? "lowers" : "raises" });
  track.append(filled);
  // by CSSOM, as the policy of the page forbids style attributes
  track.style.setProperty("--zero", percent(-low));
  filled.style.insetInlineStart = percent(Math.min(value, 0) - low);
  filled.style.inlineSize = percent(Math.abs(value));
  const number = element("span", { class: "number" }, signed(value));
  return element(
    "div",
    { title: says },
    element("dt", { "aria-describedby": idOf(name) }, title),
    element("dd", {}, track, number),
  );
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

/** Return what the parts mean, for the end of the page. */
export function legend(names) {
  return names.flatMap((name) => {
    const [title, says] = partOf(name);
    return [element("dt", {}, title), element("dd", { id: idOf(name) }, says)];
  });
}
