// The service's token: asked for once, kept until the tab is closed.

import { byId } from "/page/elements.js";

const KEY = "whisperlite-token";
let asking = null;

export const token = () => sessionStorage.getItem(KEY);

/**
 * Ask for a token, however many requests wait for one; return whether one was given.
 *
 * @param {boolean} isAnother Whether the one that was given is none of this service.
 */
export function askForToken(isAnother) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token-dialog");
    const field = byId("token");
    field.value = "";
    byId("token-another").hidden = !isAnother;
    dialog.returnValue = "";
    dialog.addEventListener("close", answered, { once: true });
    dialog.showModal();

    function answered() {
      const given = dialog.returnValue === "given" ? field.value.trim() : "";
      if (given) sessionStorage.setItem(KEY, given);
      asking = null;
      resolve(Boolean(given));
    }
  });
  return asking;
}
