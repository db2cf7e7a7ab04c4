// Choosing a user of the shop, where the service tells who they are.

import { call, queryOf } from "/page/api.js";
import { byId, element } from "/page/elements.js";

/**
 * Offer the users that a model knows.
 *
 * @param {?string} model
 * @param {function(?string)} choose Gets a user, or null for whom this browser stands for.
 */
export async function offerUsers(model, choose) {
  const field = byId("user");
  const found = await usersOf(model, "");
  byId("known").hidden = !found.length;
  if (!found.length) return;
  byId("users").replaceChildren(...options(found));
  field.placeholder = `you, or one like ${found[0]}`;
  field.addEventListener("input", async (event) => {
    // one that was picked from the list, not typed
    const isPicked = !event.inputType || event.inputType === "insertReplacementText";
    if (isPicked && field.value) {
      choose(field.value);
      return;
    }
    await suggest();
  });
  if (field.value) suggest(); // typed before this was listening
  byId("shopper").addEventListener("submit", (event) => {
    event.preventDefault();
    choose(field.value.trim() || null);
  });

  async function suggest() {
    const prefix = field.value;
    const known = await usersOf(model, prefix);
    if (field.value === prefix) byId("users").replaceChildren(...options(known));
  }
}

const options = (users) => users.map((user) => element("option", { value: user }));

function usersOf(model, prefix) {
  return call(`/v1/users${queryOf({ model, prefix })}`).catch(() => []);
}

/** Show who asks. */
export function showUser(shopper) {
  byId("user").value = shopper.isKnown ? shopper.id : "";
  const anew = byId("anew");
  anew.textContent = shopper.isKnown ? "Back to me" : "Start anew";
  anew.disabled = !shopper.isKnown && !shopper.said.size;
}
