// Which model answers, and which one beside it.

import { byId, element } from "/page/elements.js";

/**
 * Let a shopper choose among several models.
 *
 * @param {Object[]} models As of /v1/models.
 * @param {function(Object)} ask Asks with another `model` or `beside`.
 */
export function offerModels(models, ask) {
  byId("models").hidden = models.length < 2;
  const options = () => models.map(({ name }) => element("option", { value: name }, name));
  byId("model").replaceChildren(...options());
  byId("beside").replaceChildren(element("option", { value: "" }, "none"), ...options());
  byId("model").addEventListener("change", ({ target }) => ask({ model: target.value }));
  byId("beside").addEventListener("change", ({ target }) => ask({ beside: target.value || null }));
}

/** Show which ones are asked; the same one twice says nothing. */
export function showModels(names) {
  const [model, beside = ""] = names;
  byId("model").value = model;
  byId("beside").value = beside;
  for (const option of byId("beside").options) option.disabled = option.value === model;
}
