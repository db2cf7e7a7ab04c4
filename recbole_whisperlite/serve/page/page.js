// The page: what is asked, by whom, and what is shown of the answers.

import { ALONE, BESIDE, read, write } from "/page/address.js";
import { answerOf } from "/page/answer.js";
import { call } from "/page/api.js";
import { SAYINGS } from "/page/card.js";
import { byId } from "/page/elements.js";
import { showExamples } from "/page/examples.js";
import { showField } from "/page/field.js";
import { offerModels, showModels } from "/page/models.js";
import { glide } from "/page/motion.js";
import { takePictures } from "/page/picture.js";
import { columnsOf, nameOf, product, remember } from "/page/products.js";
import { showShelf } from "/page/shelf.js";
import { Shopper, newGuest } from "/page/shopper.js";
import { offerUsers, showUser } from "/page/users.js";
import { legend, scaleOf } from "/page/why.js";

const MOST = 200;

let asked;
let models = [];
let shopper;
let answers = [];
let isOpen = false;
let running = new AbortController();

// asking

/** Ask something else: this is a new place, to which Back leads back. */
async function go(change, focus) {
  const isOther = ["request", "like", "similar", "picture"].some((name) => name in change);
  byId("results").setAttribute("aria-busy", "true");
  become({ ...asked, k: isOther ? null : asked.k, ...change });
  history.pushState({ picture: asked.picture }, "", write(asked));
  const notice = "user" in change ? await meet() : "";
  await Promise.all(["user" in change && shelf(), show(focus, notice)]);
}

/** From now on something else is asked; the text of the field follows. */
function become(other) {
  asked = other;
  byId("request").value = asked.request;
}

/** Ask what is asked now, and show the answers; a notice is a sentence that stays. */
async function show(focus, notice = "") {
  running.abort();
  const mine = (running = new AbortController());
  const results = byId("results");
  results.setAttribute("aria-busy", "true");
  say(notice);
  try {
    const names = chosen();
    showModels(names.map(({ name }) => name));
    offerPictures(names);
    const [found] = await Promise.all([
      Promise.all(names.map((model) => answerFrom(model, mine.signal))),
      showField(asked, (taken) => go(taken, byId("request"))),
    ]);
    if (mine.signal.aborted) return;
    answers = found;
    glide(byId("answers"), render);
    await headline();
    focus?.focus?.({ preventScroll: true });
    for (const { model, items, ...answer } of answers) {
      if (items) shopper.saw({ items, ...answer }, model);
    }
  } catch (error) {
    if (mine.signal.aborted) return;
    byId("answers").replaceChildren();
    say(error.message);
  }
  results.setAttribute("aria-busy", "false");
}

/** Return the models that are asked, of which there is at least one. */
function chosen() {
  const by = (name) => models.find((model) => model.name === name);
  const first = by(asked.model) ?? models[0];
  const second = by(asked.beside);
  return second && second !== first ? [first, second] : [first];
}

async function answerFrom(model, signal) {
  const alone = chosen().length === 1;
  const common = {
    model: model.name,
    k: asked.k ?? (alone ? ALONE : BESIDE),
    columns: columnsOf(model),
  };
  try {
    const answer = await (asked.similar ? similar(common) : recommended(common));
    remember(answer.items);
    return { ...answer, model: model.name };
  } catch (error) {
    if (alone || error.name === "AbortError") throw error;
    return { model: model.name, problem: error.message };
  }

  async function similar(body) {
    const exclude = shopper.unwanted();
    const answered = await call("/v1/similar", { ...body, item: asked.similar, exclude }, signal);
    // its request is the product's text, which nobody typed
    return { ...answered.answers[0], request: "", understood: null };
  }

  async function recommended(body) {
    body = { ...body, ...shopper.asking(), explain: true };
    if (asked.request) body.request = asked.request;
    if (asked.like) body.like = asked.like;
    const knows = model.knows_pictures;
    if (asked.picture && knows) body.picture = asked.picture;
    const answer = (await call("/v1/recommend", body, signal)).answers[0];
    if (asked.picture && !knows) answer.notes.push("This model knows no pictures: asked without it.");
    return answer;
  }
}

// showing

function render() {
  const beside = answers.length > 1;
  const parts = answers.map((answer) =>
    answerOf(answer, beside ? answer.model : null, {
      isOpen,
      said: (item) => shopper.of(item),
      ask: (request) => go({ request }, byId("request")),
      actions,
    }),
  );
  byId("answers").className = beside ? "answers two" : "answers";
  byId("answers").replaceChildren(...parts);
  const products = answers.flatMap(({ items }) => items ?? []);
  const names = new Set(answers.flatMap(({ items }) => scaleOf(items ?? []).used));
  byId("why").disabled = !names.size;
  if (names.size) byId("legend").replaceChildren(...legend([...names]));
  showExamples(models[0].about.dataset, products, (request) =>
    go({ request, like: null, similar: null, picture: null }, byId("request")),
  );
  const k = asked.k ?? (beside ? BESIDE : ALONE);
  byId("more").hidden = k >= MOST || !answers.some(({ items }) => items?.length === k);
  performance.mark("answer");
}

async function headline() {
  const n = Math.max(...answers.map(({ items }) => items?.length ?? 0));
  const title = await titleOf(n);
  byId("title").textContent = title;
  document.title = asked.request || title;
  const asking = asked.request ? ` for ${asked.request}` : `: ${title}`;
  byId("status").textContent = `${n} ${n === 1 ? "product" : "products"}${asking}`;
}

async function titleOf(n) {
  const pointed = asked.similar ?? asked.like;
  const found = pointed && (await product(pointed, asked.model));
  const name = found ? nameOf(found) : pointed;
  if (asked.similar) return `More like ${name}`;
  if (asked.like) return asked.request ? `Like ${name}, but ${asked.request}` : `Like ${name}`;
  if (asked.request) return `The best ${n} of ${chosen()[0].items.toLocaleString()}`;
  if (asked.picture) return "Like your picture";
  if (shopper.isKnown) return `For ${shopper.id}`;
  return shopper.wanted().length ? "For you" : "To begin with";
}

/** Say in a sentence what went wrong; "": nothing. */
function say(problem) {
  byId("error").textContent = problem;
  byId("error").hidden = !problem;
}

function offerPictures(names) {
  byId("picture").hidden = !names.some((model) => model.knows_pictures);
}

// what the cards do

function actions(answer) {
  return {
    say: (of, outcome, action) => {
      const { request, answer: id, model } = answer;
      const spoken = SAYINGS[outcome] ?? "Taken back";
      told(of, outcome, spoken, { request, answer: id, model, rank: of.rank }, () =>
        buttonAt(answers.findIndex((each) => each.model === model), of.rank, action),
      );
    },
    similar: ({ item }) => {
      go({ request: "", similar: item, like: null, picture: null }, byId("results"));
      scrollTo({ top: 0 });
    },
    like: ({ item }) => {
      go({ request: "", like: item, similar: null }, byId("request"));
      scrollTo({ top: 0 });
    },
  };
}

/** Return a button of the card that stands at a place now. */
function buttonAt(column, rank, action) {
  const cards = byId("answers").children[column]?.querySelectorAll(".card") ?? [];
  const card = cards[Math.min(rank, cards.length) - 1];
  return card?.querySelector(`[data-do="${action}"]`);
}

/** Say something of a product, put it on the shelf, and ask again: the answer knows it. */
async function told(of, outcome, spoken, where, focusNow) {
  try {
    await shopper.say(of.item, outcome, where);
  } catch (error) {
    say(error.message);
    return;
  }
  await Promise.all([shelf(), show()]);
  focusNow()?.focus({ preventScroll: true });
  byId("status").textContent = `${spoken}: ${nameOf(of)}. The answer was made anew.`;
}

function shelf() {
  showUser(shopper);
  return showShelf(shopper, asked.model, (of) =>
    told(of, "withdrawn", "Taken back", {}, () => byId("shelf").querySelector("button")),
  );
}

// who asks

/** Find out who asks; return what went wrong, "" for nothing. */
async function meet() {
  const { user, model } = asked;
  try {
    shopper = await Shopper.of(user, model);
    if (!user || shopper.isKnown) return "";
    shopper = await Shopper.of(null, model);
    return `There is no user '${user}'.`;
  } catch (error) {
    shopper = Shopper.unknown();
    return error.message;
  }
}

function anew() {
  if (!shopper.isKnown) newGuest();
  go({ user: null }, byId("title"));
}

// the start

function listen() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    go({ request: byId("request").value.trim(), similar: null }, byId("request"));
  });
  byId("anew").addEventListener("click", anew);
  byId("more").addEventListener("click", () => {
    const n = answers[0].items.length;
    go({ k: Math.min(MOST, 2 * n) }).then(() => buttonAt(0, n + 1, "kept")?.focus());
  });
  byId("why").addEventListener("click", ({ target }) => {
    isOpen = !isOpen;
    target.setAttribute("aria-pressed", String(isOpen));
    for (const details of document.querySelectorAll("details.why")) details.open = isOpen;
  });
  addEventListener("popstate", async (event) => {
    const before = asked.user;
    become({ ...read(location.search), picture: event.state?.picture ?? null });
    const isOther = asked.user !== before;
    const notice = isOther ? await meet() : "";
    await Promise.all([isOther && shelf(), show(null, notice)]);
  });
  takePictures((picture) => {
    if (chosen().some((model) => model.knows_pictures)) go({ picture, similar: null }, byId("request"));
    else say("This model knows no pictures: describe it in words.");
  }, say);
  offerModels(models, (change) => go(change));
}

async function start() {
  become(read(location.search));
  try {
    let notice;
    [models, notice] = await Promise.all([call("/v1/models"), meet()]);
    const n = models[0].items.toLocaleString();
    byId("about").textContent = `${models[0].about.dataset ?? models[0].name}, ${n} products`;
    listen();
    await Promise.all([shelf(), show(null, notice)]);
    await offerUsers(asked.model, (user) => go({ user }));
  } catch (error) {
    say(error.message);
    byId("answers").replaceChildren();
  }
}

start();
