// The shelf: what a shopper kept, tried or did not want, and what they chose before.

import { button, byId, element } from "/page/elements.js";
import { nameOf, pictureOf, product } from "/page/products.js";

const SAID = { kept: "kept", tried: "tried", not_tried: "not for you" };
const MOST = 40;

/**
 * Show a shopper's shelf, the latest first.
 *
 * @param {Shopper} shopper
 * @param {?string} model Whose products these are.
 * @param {function(Object)} takeBack Takes back what was said of a product.
 */
export async function showShelf(shopper, model, takeBack) {
  const said = [...shopper.said.keys()].reverse();
  const before = shopper.history.filter((item) => !shopper.said.has(item)).reverse();
  const ids = [...said, ...before];
  const found = await Promise.all(ids.slice(0, MOST).map((id) => product(id, model)));
  const entries = found.filter(Boolean).map((each) => entry(each, shopper.of(each.item), takeBack));
  if (ids.length > MOST) entries.push(element("li", { class: "rest" }, `and ${ids.length - MOST} more`));
  byId("shelf-title").textContent = shopper.isKnown ? `History of ${shopper.id}` : "Your history";
  byId("shelf-empty").hidden = entries.length > 0;
  byId("shelf").hidden = !entries.length;
  byId("shelf").replaceChildren(...entries);
}

function entry(of, said, takeBack) {
  const name = nameOf(of);
  const tag = element("small", {}, said ? SAID[said] : "before");
  const label = `Take back: ${name}, ${SAID[said]}`;
  const back = said
    ? button("×", () => takeBack(of), { label, title: "Take back", class: "cross" })
    : null;
  const words = element("span", { class: "words" }, element("span", { class: "what" }, name), tag);
  const attributes = { class: said === "not_tried" ? "against" : null, "data-item": of.item };
  return element("li", attributes, pictureOf(of), words, back);
}
