"use strict";
// Elements of the page. Text from the registry is only ever set as text, so nothing in it runs.

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(made.style, value);
    else if (["value", "checked", "disabled", "selected"].includes(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...present(children));
  return made;
}

const present = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

const number = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits).replace(/^(-?)0\./, "$1.") : "–");
const percent = (value, digits = 1) => (Number.isFinite(value) ? `${(100 * value).toFixed(digits)} %` : "–");
const count = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–");
const interval = (low, high) => `[${number(low)}, ${number(high)}]`;
const cellLink = (hash, ...rest) => `#/${["cell", hash, ...rest].map(encodeURIComponent).join("/")}`;
const studyLink = (name) => `#/study/${encodeURIComponent(name)}`;
const labelsLink = (hash) => `#/labels/${encodeURIComponent(hash)}`;

function say(text) { document.getElementById("said").textContent = text; }

// The part of a sheet that shows one example, as the background of a square. shape: the images' height and width.
function tile(sheet, i, edge, alt) {
  const at = sheet.at[i];
  const square = el("span", { class: "image", role: "img", "aria-label": alt, style: { width: `${edge}px`, height: `${edge}px` } });
  if (at) {
    square.style.backgroundImage = `url("${sheet.address}")`;
    square.style.backgroundSize = `${sheet.columns * edge}px ${sheet.rows * edge}px`;
    square.style.backgroundPosition = `${-at[0] * edge}px ${-at[1] * edge}px`;
  }
  return square;
}

// A few pictures with a line under each. shown: [{place, text, link}].
function strip(about, shown, edge = 72) {
  const places = shown.map((one) => one.place);
  const sheet = about.side && source().sheet(about.cell, places, places.length);
  return el("div", { class: "strip" }, shown.map((one, i) => {
    const inside = [about.side ? tile(sheet, i, edge, one.text) : null, el("span", {}, one.text)];
    return one.link ? el("a", { href: one.link }, inside) : el("span", { class: "one" }, inside);
  }));
}

function table(columns, rows, marked) {
  const body = el("tbody");
  let by = null, down = true;
  const fill = () => {
    const sorted = by === null ? rows : [...rows].sort((a, b) => {
      const x = columns[by].key(a), y = columns[by].key(b);
      if (x === null || x === undefined) return 1;
      if (y === null || y === undefined) return -1;
      return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    });
    body.replaceChildren(...sorted.map((row) => el("tr", { "data-row": row.cell || row.study, ...(marked ? marked(row) : {}) },
      columns.map((column) => el("td", { class: column.text ? "" : "number" }, column.show(row))))));
  };
  const head = el("tr", {}, columns.map((column, i) => el("th", { class: column.text ? "" : "number", scope: "col" },
    el("button", { class: "plain", onclick: (event) => {
      down = by === i ? !down : !column.text;
      by = i;
      head.querySelectorAll("th").forEach((th, j) => th.setAttribute("aria-sort", j === i ? (down ? "descending" : "ascending") : "none"));
      fill();
    } }, column.name))));
  fill();
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, head), body));
}

// Okabe & Ito's colours, lighter on a dark page.
function colours() {
  return window.matchMedia("(prefers-color-scheme: dark)").matches
    ? ["#56b4e9", "#ff9d5c", "#3fd0a5", "#e8a0cf", "#f0c04a", "#9ecbf0", "#cccc66", "#d070a0"]
    : ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255"];
}

// A click on a drawing opens what it points at; its tip lies over the point and would swallow the click.
function opens(drawing, link) {
  drawing.addEventListener("click", () => { if (drawing.value) open(link(drawing.value)); });
}

// A frame that may not save a file, as in MLflow's UI, shows its text instead.
function download(name, text) {
  if (window.origin === "null") {
    const shown = el("dialog", { class: "saved" }, el("p", {}, `This frame may not save files: copy this into ${name}.`), el("textarea", { readonly: true, rows: 12, cols: 40 }, text),
      el("button", { onclick: () => shown.remove() }, "Close"));
    document.body.append(shown);
    shown.show();
    return;
  }
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// Kept in this browser, where it lets a page keep anything.
const kept = {
  get(key) { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; } },
};
