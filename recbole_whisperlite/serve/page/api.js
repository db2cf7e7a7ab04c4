// Speaks to the service.

import { askForToken, token } from "/page/token.js";

/** What the service refused, in its own sentence. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Return what the service answers.
 *
 * @param {string} path Of the API, `/v1/…`.
 * @param {Object} [body] Sent as JSON; without one, something is read.
 * @param {AbortSignal} [signal]
 * @throws {Refusal}
 */
export async function call(path, body, signal) {
  const response = await fetched(path, body, signal);
  if (response.ok) return response.json();
  const { error } = await response.json().catch(() => ({}));
  throw new Refusal(response.status, error?.message ?? `The service says ${response.status}.`);
}

async function fetched(path, body, signal) {
  const used = token();
  const headers = {};
  if (used) headers.Authorization = `Bearer ${used}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = { headers, signal, method: body ? "POST" : "GET" };
  if (body) options.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The service does not answer. Is it still running?");
  }
  // another request may have brought the token meanwhile
  if (response.status === 401 && (token() !== used || (await askForToken(used !== null)))) {
    return fetched(path, body, signal);
  }
  return response;
}

const blobs = new Map();

/** Let an image show a picture of the service, which may be told to nobody without token. */
export function showPicture(image, address) {
  if (!token()) {
    image.src = address;
    return;
  }
  if (!blobs.has(address)) {
    blobs.set(
      address,
      fetched(address)
        .then((response) => response.blob())
        .then((blob) => URL.createObjectURL(blob)),
    );
  }
  blobs.get(address).then((url) => (image.src = url), () => {});
}

/** Return the path of something, whose id may have any characters. */
export const pathOf = (kind, id, query = {}) =>
  `/v1/${kind}/${encodeURIComponent(id)}${queryOf(query)}`;

/** Return `?name=value…` without what is null. */
export function queryOf(values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
