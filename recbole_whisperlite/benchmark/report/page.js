"use strict";

// ---------------------------------------------------------------- the table
const table = document.getElementById("results");
const headings = [...table.tHead.rows[0].cells];

function value(row, column) {
  const text = row.cells[column].dataset.value;
  return text === undefined || column === 0 ? text : Number(text);
}

function sort(column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((one, other) => {
    const [a, b] = [value(one, column), value(other, column)];
    // rows without a figure go to the bottom
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * (column === 0 ? a.localeCompare(b) : a - b);
  });
  table.tBodies[0].append(...rows);
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[column].setAttribute("aria-sort", direction);
}

const opposite = { ascending: "descending", descending: "ascending" };
headings.forEach((heading, column) => {
  const button = heading.querySelector("button");
  if (button) button.addEventListener("click", () => {
    const now = heading.getAttribute("aria-sort");
    sort(column, now ? opposite[now] : heading.dataset.first || "ascending");
  });
});

const choice = document.getElementById("k");
if (choice) {
  const show = () => {
    for (const cell of table.querySelectorAll("[data-k]"))
      cell.hidden = choice.value !== "all" && cell.dataset.k !== choice.value;
  };
  choice.addEventListener("change", show);
  show(); // browsers may keep the selection across a reload
}

// ---------------------------------------------------------------- the plots
const plots = [...document.querySelectorAll("script[data-plot]")].map((script) => {
  const element = document.getElementById(script.dataset.plot);
  const figure = JSON.parse(script.textContent);
  const narrow = element.clientWidth < 500;
  // no room for names beside the markers; the chips above identify them
  if (narrow) for (const trace of figure.data) trace.mode = trace.mode.replace("+text", "");
  Plotly.newPlot(element, figure.data, figure.layout, {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    displayModeBar: narrow ? false : undefined,
  });
  return element;
});

const chips = [...document.querySelectorAll(".chip[data-row]")];
const pressed = (chip) => chip.getAttribute("aria-pressed") === "true";

function show() {
  const shown = new Set(chips.filter(pressed).map((chip) => chip.dataset.row));
  for (const plot of plots)
    Plotly.restyle(plot, { visible: plot.data.map((trace) => shown.has(trace.legendgroup)) });
}

function highlight(row) {
  for (const plot of plots)
    Plotly.restyle(plot, {
      opacity: plot.data.map((trace) => (row && trace.legendgroup !== row ? 0.12 : 1)),
    });
}

for (const chip of chips) {
  chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", String(!pressed(chip)));
    show();
  });
  chip.addEventListener("pointerenter", () => highlight(chip.dataset.row));
  chip.addEventListener("pointerleave", () => highlight(null));
  chip.addEventListener("focus", () => chip.matches(":focus-visible") && highlight(chip.dataset.row));
  chip.addEventListener("blur", () => highlight(null));
}

for (const [id, on] of [["all", true], ["none", false]]) {
  const button = document.getElementById(id);
  if (button) button.addEventListener("click", () => {
    for (const chip of chips) chip.setAttribute("aria-pressed", String(on));
    show();
  });
}

// In print nothing can be opened, and plots keep the width at which they were drawn.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.example")) part.open = true;
  for (const plot of plots) Plotly.relayout(plot, { width: 660 });
});
addEventListener("afterprint", () => {
  for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
});
