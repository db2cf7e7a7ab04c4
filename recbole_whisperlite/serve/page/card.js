// A product of an answer.

import { button, element } from "/page/elements.js";
import { nameOf, pictureOf, priceOf } from "/page/products.js";
import { why } from "/page/why.js";

/** What can be said of a product, and how. */
export const SAYINGS = { kept: "Keep", tried: "Try", not_tried: "Not for me" };

/**
 * Return the card of a product.
 *
 * @param {Object} product Of an answer.
 * @param {Object} of The answer's: `scale` of its bars, `isOpen`, whether they are shown,
 *     and `said(item)`, what was said of a product.
 * @param {{say, similar, like}} do_ What the buttons do, with the product.
 */
export function card(product, { scale, isOpen, said }, { say, similar, like }) {
  const name = nameOf(product);
  const spoken = said(product.item);
  const sayings = Object.entries(SAYINGS).map(([outcome, text]) => {
    const isSaid = spoken === outcome;
    const click = () => say(product, isSaid ? "withdrawn" : outcome, outcome);
    const state = { "aria-pressed": String(isSaid), "data-do": outcome };
    return button(text, click, { label: `${text}: ${name}`, ...state });
  });
  const more = button("More like this", () => similar(product), {
    label: `More like this: ${name}`,
    "data-do": "similar",
  });
  const but = button("Like this, but …", () => like(product), {
    label: `Like this, but …: ${name}`,
    "data-do": "like",
  });
  return element(
    "li",
    { class: "card", "data-item": product.item },
    pictureOf(product, product.rank > 12),
    element("h3", {}, name),
    element(
      "p",
      { class: "facts" },
      element("span", {}, priceOf(product)),
      element("span", { class: "score" }, element("small", {}, "score "), number(product.score)),
    ),
    element("div", { class: "sayings", role: "group", "aria-label": "What you say of it" }, ...sayings),
    element("div", { class: "ways" }, more, but),
    product.parts ? why(product, scale, isOpen) : null,
  );
}

const number = (score) => score.toFixed(2).replace("-", "−");
