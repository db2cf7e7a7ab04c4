// What a model answers: what it understood, what the reader should know, the products.

import { card } from "/page/card.js";
import { element } from "/page/elements.js";
import { chips } from "/page/understood.js";
import { scaleOf } from "/page/why.js";

/**
 * Return an answer as a part of the page.
 *
 * @param {Object} answer Of the API; or `{problem}`, a sentence.
 * @param {?string} title Its heading, where it stands beside another.
 * @param {Object} options `isOpen`, `said`: as of :js:func:`card`; `ask(request)`, `actions`.
 */
export function answerOf(answer, title, { isOpen, said, ask, actions }) {
  const head = element("div", { class: "head" });
  const part = element("section", { class: "answer" }, head);
  if (title) {
    head.append(element("h3", { class: "name" }, title));
    part.setAttribute("aria-label", title);
  }
  if (answer.problem) {
    head.append(element("p", { class: "error" }, answer.problem));
    return part;
  }
  if (answer.understood) head.append(chips(answer, ask));
  for (const note of answer.notes) head.append(element("p", { class: "note" }, note));
  const of = { scale: scaleOf(answer.items), isOpen, said };
  const cards = answer.items.map((product) => card(product, of, actions(answer)));
  part.append(element("ol", { class: "cards" }, ...cards));
  if (!cards.length) head.append(element("p", { class: "note" }, "No product is left."));
  return part;
}
