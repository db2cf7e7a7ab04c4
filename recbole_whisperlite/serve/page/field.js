// What stands beside the text in the field of the request: a product, a picture.

import { byId, chip, element } from "/page/elements.js";
import { nameOf, pictureOf, product } from "/page/products.js";

/**
 * Show what is asked besides the text.
 *
 * @param {Object} asked As of :js:func:`read`.
 * @param {function(Object)} ask Asks with other values of some of it.
 */
export async function showField(asked, ask) {
  const chips = [];
  if (asked.similar) {
    chips.push(await ofProduct("more like", asked.similar, () => ask({ similar: null })));
  }
  if (asked.like) {
    chips.push(await ofProduct("like this, but", asked.like, () => ask({ like: null })));
  }
  if (asked.picture) {
    const picture = element("img", { class: "picture", alt: "", src: asked.picture });
    const label = "Take away: your picture";
    chips.push(chip([picture, "your picture"], label, () => ask({ picture: null })));
  }

  async function ofProduct(kind, id, take) {
    const found = await product(id, asked.model);
    const name = found ? nameOf(found) : id;
    const children = [element("small", {}, kind), element("span", { class: "what" }, name)];
    if (found) children.unshift(pictureOf(found));
    return chip(children, `Take away: ${kind} ${name}`, take);
  }

  byId("beside-text").replaceChildren(...chips);
}
