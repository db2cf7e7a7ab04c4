// Requests to begin with.

import { button, byId } from "/page/elements.js";
import { nameOf } from "/page/products.js";

const OF_DATASETS = {
  "stylist-mini": [
    "a black dress for the office, no stripes",
    "warm winter coat, but not wool",
    "something bright for a summer party",
    "comfortable shoes for yoga class",
    "navy jeans, nothing tight",
  ],
};
const MOST = 4;

/**
 * Show some requests as buttons: of the dataset, or the names of products that are shown.
 *
 * @param {string} dataset
 * @param {Object[]} products
 * @param {function(string)} ask
 */
export function showExamples(dataset, products, ask) {
  const place = byId("examples");
  if (place.children.length) return;
  const names = [...new Set(products.map(nameOf))].slice(0, MOST);
  const texts = OF_DATASETS[dataset] ?? names;
  place.replaceChildren(...texts.map((text) => button(text, () => ask(text))));
}
