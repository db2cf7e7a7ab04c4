// Products that change places glide there, unless the reader wants less motion.

const DURATION = 280;
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

/** Change what is in an element; what stays in it moves to its new place. */
export function glide(inside, change) {
  const before = places(inside);
  change();
  if (isCalm.matches || !before.size) return;
  for (const [key, { card, box }] of places(inside)) {
    const old = before.get(key)?.box;
    const x = old ? old.left - box.left : 0;
    const y = old ? old.top - box.top : 0;
    if (old && !x && !y) continue;
    const from = old ? { transform: `translate(${x}px, ${y}px)` } : { opacity: 0 };
    card.animate([from, {}], { duration: DURATION, easing: "ease-out" });
  }
}

function places(inside) {
  const found = new Map();
  [...inside.querySelectorAll(".answer")].forEach((answer, number) => {
    for (const card of answer.querySelectorAll(".card")) {
      found.set(`${number} ${card.dataset.item}`, { card, box: card.getBoundingClientRect() });
    }
  });
  return found;
}
