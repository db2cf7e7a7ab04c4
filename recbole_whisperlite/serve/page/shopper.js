// Who asks, and what they said of products.
//
// A new shopper has a random name, which this browser keeps: so the service knows them
// after a reload. Where the service stores nothing, what they say is kept in the page.

import { call, pathOf } from "/page/api.js";

const KEY = "whisperlite-guest";
const WANTED = ["kept", "tried"];

export class Shopper {
  /** @param {{user: string, known: boolean, history: string[], said: Object}} about */
  constructor(about) {
    this.id = about.user;
    this.isKnown = about.known;
    this.history = about.history; // oldest first
    this.stores = true; // until the service says that it does not
    this.said = new Map(Object.entries(about.said).filter(([, said]) => said !== "withdrawn"));
  }

  /** Return a user of the shop, or whom this browser stands for. */
  static async of(user, model) {
    return new Shopper(await call(pathOf("users", user ?? guest(), { model })));
  }

  /** Return somebody of whom nothing is known. */
  static unknown() {
    return new Shopper({ user: guest(), known: false, history: [], said: {} });
  }

  /** What was said of a product; undefined if nothing. */
  of(item) {
    return this.said.get(item);
  }

  wanted() {
    return [...this.said.keys()].filter((item) => WANTED.includes(this.said.get(item)));
  }

  unwanted() {
    return [...this.said.keys()].filter((item) => this.said.get(item) === "not_tried");
  }

  /** Return what belongs to a request of theirs. */
  asking() {
    const asking = { user: this.id };
    if (!this.stores) asking.exclude = this.unwanted();
    if (!this.stores || !this.isKnown) {
      const before = new Set(this.history);
      const since = this.wanted().filter((item) => !before.has(item));
      asking.history = [...this.history, ...since];
    }
    return asking;
  }

  /**
   * Say something of a product; it changes the next answer.
   *
   * @param {string} item
   * @param {string} outcome As of /v1/feedback.
   * @param {{request: string, answer: string, model: string, rank: number}} [where] The
   *     answer that showed it.
   */
  async say(item, outcome, { rank, ...where } = {}) {
    await this.#send([{ item, outcome, rank }], { ...where, id: randomId() });
    this.said.delete(item); // what was said last comes last
    if (outcome !== "withdrawn") this.said.set(item, outcome);
  }

  /** Tell the service what an answer showed: once for each, and never mind if it fails. */
  async saw(answer, model) {
    const events = answer.items.map(({ item, rank }) => ({ item, outcome: "shown", rank }));
    if (!events.length) return;
    const where = { request: answer.request, answer: answer.answer, model };
    await this.#send(events, { ...where, id: `shown-${answer.answer}` }).catch(() => {});
  }

  async #send(events, where) {
    if (!this.stores) return;
    try {
      await call("/v1/feedback", { user: this.id, events, ...where });
    } catch (error) {
      if (error.status !== 409) throw error;
      this.stores = false;
    }
  }
}

function guest() {
  return localStorage.getItem(KEY) ?? newGuest();
}

/** Become somebody else, of whom nothing is known. */
export function newGuest() {
  const id = `guest-${randomId()}`;
  localStorage.setItem(KEY, id);
  return id;
}

function randomId() {
  // crypto.randomUUID is there for https and this machine only
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
