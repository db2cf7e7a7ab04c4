// Makes elements. What comes from a catalogue or a shopper is only ever text in them:
// nothing on this page is parsed as HTML.

/**
 * Return a new element.
 *
 * @param {string} name Its tag.
 * @param {Object} attributes By name; a function is a listener (`click`), true an
 *     attribute without a value, and null, undefined or false none.
 * @param {...(Node|string|null)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return the element of the page with an id. */
export const byId = (id) => document.getElementById(id);

/** Return a button that is no more than its text; `label` says more to screen readers. */
export function button(text, click, { label, ...attributes } = {}) {
  const named = { type: "button", "aria-label": label, click, ...attributes };
  return element("button", named, text);
}

/** Return a thing that can be taken away: a chip with a button. */
export function chip(children, label, take, attributes = {}) {
  const cross = button("×", take, { label, class: "cross" });
  return element("span", { class: "chip", ...attributes }, ...children, cross);
}
