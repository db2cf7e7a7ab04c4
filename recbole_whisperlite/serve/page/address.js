// What is asked, in the address of the page: a link shows the same, and so does Back.

import { queryOf } from "/page/api.js";

/** How many products an answer has, and two beside each other have. */
export const ALONE = 24;
export const BESIDE = 12;

/**
 * Return what an address asks for.
 *
 * @returns {{request: string, like: ?string, similar: ?string, user: ?string,
 *     model: ?string, beside: ?string, k: ?number, picture: null}}
 */
export function read(search) {
  const values = new URLSearchParams(search);
  const k = Number.parseInt(values.get("k"), 10);
  return {
    request: values.get("q") ?? "",
    like: values.get("like"),
    similar: values.get("similar"),
    user: values.get("user"),
    model: values.get("model"),
    beside: values.get("beside"),
    k: k > 0 ? Math.min(k, 200) : null,
    picture: null, // too large for an address
  };
}

/** Return the address of what is asked. */
export function write(asked) {
  const { request, picture, ...others } = asked;
  return location.pathname + queryOf({ q: request || null, ...others });
}
