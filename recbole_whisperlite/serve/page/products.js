// What a card shows of a product, whatever its catalogue is like.

import { call, pathOf, showPicture } from "/page/api.js";
import { element } from "/page/elements.js";

const NAMES = ["title", "name", "prod_name"];
const PRICES = ["price", "price_band"];
const WORDS_OF_A_NAME = 6;

/** Return the columns to ask for, of those that a model has. */
export function columnsOf(model) {
  const first = (names) => names.filter((name) => name in model.columns).slice(0, 1);
  return [...first(NAMES), ...first(PRICES)];
}

/** Return what a product is called. */
export function nameOf(product) {
  for (const column of NAMES) {
    const name = product.columns?.[column];
    if (name) return String(name);
  }
  const words = product.text.split(/\s+/).filter(Boolean);
  const more = words.length > WORDS_OF_A_NAME ? "…" : "";
  return words.slice(0, WORDS_OF_A_NAME).join(" ") + more || product.item;
}

/** Return what a product costs, "" where that is not known. */
export function priceOf(product) {
  const { price, price_band: band } = product.columns ?? {};
  if (typeof price === "number") {
    const digits = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
    return price.toLocaleString(undefined, digits);
  }
  if (price) return String(price);
  return band ? `Price: ${band}` : "";
}

/** Return the picture of a product, or what stands in its place. */
export function pictureOf(product, lazy = false) {
  if (!product.picture) return element("span", { class: "picture none" });
  // its name stands beside it
  const image = element("img", { class: "picture", alt: "", decoding: "async" });
  if (lazy) image.loading = "lazy";
  image.addEventListener("error", () =>
    image.replaceWith(element("span", { class: "picture none" })),
  );
  showPicture(image, product.picture);
  return image;
}

const known = new Map();

/** Keep products of an answer: they may be put on the shelf. */
export function remember(products) {
  for (const product of products) known.set(product.item, product);
}

/** Return a product by its id; null if there is none any more. */
export async function product(id, model) {
  if (!known.has(id)) {
    const found = await call(pathOf("items", id, { model })).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    });
    known.set(id, found);
  }
  return known.get(id);
}
