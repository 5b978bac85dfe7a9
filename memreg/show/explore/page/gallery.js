"use strict";
// All training examples of a cell: filtered, sorted, and drawn a few screens at a time.

const EDGE = 88, GAP = 12, CAPTION = 36, ROWS = 3; // pixels of a tile and around it; rows of tiles drawn at once
const ORDER = {}; // by cell: the examples as they were last shown, for "next" on an example's page
const SELECTED = {}; // by cell: examples that are selected
const PLACE = {}; // by cell: how far the gallery was scrolled

// What an estimator says; nothing where a cell has no scores.
function scoresOf(about, estimator) {
  if (about.first !== null) return source().scores(about.cell, estimator);
  const none = new Float32Array(about.n_train).fill(NaN);
  return { score: none, low: none, high: none };
}

async function showGallery(hash) {
  const about = await source().cell(hash);
  const filters = kept.get(`filters ${about.cell}`) || {};
  delete filters.index;
  const known = about.estimators.includes(filters.estimator) ? filters.estimator : about.first || "";
  filters.estimator = known;
  const [examples, scores] = await Promise.all([source().examples(about.cell), scoresOf(about, known)]);
  const columns = { examples, scores, other: null };
  if (filters.other) await compare(columns, about, filters);
  return () => drawGallery(about, columns, filters);
}

// The scores to compare with: another estimator of the cell, or another cell of its data set.
async function compare(columns, about, filters) {
  columns.other = null;
  if (!filters.other) return;
  const [hash, estimator] = filters.other.split(" ");
  try {
    columns.other = await source().scores(hash, estimator || "");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message);
    delete filters.other;
  }
}

function drawGallery(about, columns, filters) {
  const selected = SELECTED[about.cell] ??= new Set();
  let order = [];
  const status = el("p", { class: "status", id: "status" });
  const scroller = el("div", { class: "scroller", id: "gallery", tabindex: "0", role: "group", "aria-label": "Training examples" });
  const grid = makeGrid(scroller, about, columns, selected, () => tell());

  function tell() {
    const some = selected.size ? ` ${count(selected.size)} selected.` : "";
    status.textContent = `${count(order.length)} of ${count(about.n_train)} training examples, by ${sorted(columns, filters).name}.${some}`;
    save.textContent = selected.size ? "Save selected indices" : "Save these indices";
  }

  function apply() {
    const { index, ...lasting } = filters;
    const wrong = filters.index && indices(filters.index) === null;
    form.index.classList.toggle("wrong", Boolean(wrong));
    if (wrong) return say("index: give numbers and ranges, as 3, 10-14");
    order = chosen(columns, filters, source().shown);
    ORDER[about.cell] = order;
    grid.fill(order);
    tell();
    kept.set(`filters ${about.cell}`, lasting);
  }

  const { form, element } = filterForm(about, columns, filters, apply);
  const save = el("button", { id: "save", onclick: () => {
    const wanted = selected.size ? [...selected].sort((a, b) => a - b) : Array.from(order);
    download(`${about.cell.slice(0, 8)}-examples.csv`, `${wanted.join("\n")}\n`);
  } });
  show({ title: cellTitle(about), tabs: cellTabs(about), tab: "Gallery", fixed: true, keys: (event) => grid.key(event) },
    head(about), notes(about), element, el("div", { class: "bar" }, status, save), scroller);
  apply();
}

// One line that says what the cell is.
function head(about) {
  const facts = [`${count(about.members)} networks`, `test accuracy ${percent(about.test_accuracy)}`,
    `accuracy on what they saw ${percent(about.included_accuracy)}`, `${count(about.n_train)} training examples`];
  return el("p", { class: "soft head" }, el("code", { title: about.cell }, about.cell.slice(0, 8)), `  ${facts.join(" · ")}`);
}

// What is missing.
function notes(about) {
  const warn = (text) => el("p", { class: "warning" }, text);
  return [about.side ? null : warn(`No pictures: ${about.without_images}`),
    about.labels_known ? null : warn("Labels unknown: this cell was imported without them."),
    about.without_scores ? warn(about.without_scores) : null,
    about.only < about.n_train ? warn(`This page has ${count(about.only)} of the ${count(about.n_train)} training examples: those that are probably mislabelled, and those with the highest scores. memreg explore shows all.`) : null];
}

function filterForm(about, columns, filters, apply) {
  const form = {};
  const labelled = (text, control) => el("label", {}, el("span", {}, text), control);
  const pick = (name, options, change) => form[name] = el("select", { name, onchange: async (event) => {
    filters[name] = event.target.value === "" ? undefined : event.target.value;
    if (change) await change();
    apply();
  } }, options.map(([value, text]) => el("option", { value, selected: String(filters[name] ?? "") === value }, text)));
  const figure = (name, step = 0.05) => form[name] = el("input", { name, type: "number", step, min: -1, max: 2, value: filters[name] ?? "", oninput: (event) => {
    filters[name] = event.target.value === "" || Number.isNaN(event.target.valueAsNumber) ? undefined : event.target.valueAsNumber;
    apply();
  } });
  const sorts = () => Object.entries(SORTS).filter(([, sort]) => !sort.needs || sort.needs(columns)).map(([value, sort]) => [value === "score" ? "" : value, sort.name]);
  const estimators = about.estimators.map((name) => [name, name || "Feldman & Zhang"]);
  const others = [["", "nothing"], ...about.estimators.map((name) => [`${about.cell} ${name}`, `estimator: ${name || "Feldman & Zhang"}`]),
    ...about.alike.filter((row) => row.cell !== about.cell).map((row) => [`${row.cell} `, `${row.cell.slice(0, 8)} ${row.model}, test ${percent(row.test_accuracy)}`])];
  const truth = [["", "all"]];
  if (columns.examples.clean_label) truth.push(["wrong", "label planted wrong"], ["right", "label right"]);
  if (columns.examples.group) truth.push(["planted", "of a planted group"]);
  const apart = labelled("differ by at least", figure("apart"));
  const renewSorts = () => form.sort.replaceChildren(...sorts().map(([value, text]) => el("option", { value, selected: (filters.sort ?? "") === value }, text)));
  const renew = async () => {
    await compare(columns, about, filters);
    renewSorts();
    apart.hidden = !columns.other;
  };
  apart.hidden = !columns.other;
  const index = labelled("index", form.index = el("input", { name: "index", placeholder: "3, 10-14", size: 8, oninput: (event) => { filters.index = event.target.value; apply(); } }));
  const label = labelled("class", form.label = el("select", { name: "label", onchange: (event) => {
    filters.label = event.target.value === "" ? undefined : Number(event.target.value);
    apply();
  } }, [["", "all"], ...about.classes.map((name, i) => [String(i), name])].map(([value, text]) => el("option", { value, selected: String(filters.label ?? "") === value }, text))));
  const main = [labelled("sort by", pick("sort", sorts())), about.labels_known ? label : null,
    truth.length > 1 ? labelled("truth", pick("truth", truth)) : null,
    labelled("score from", figure("from")), labelled("to", figure("to")), index];
  const more = [labelled("interval's low end from", figure("low")), labelled("interval no wider than", figure("width")),
    about.estimators.length > 1 && !source().still ? labelled("estimator", pick("estimator", estimators, async () => { columns.scores = await source().scores(about.cell, filters.estimator || ""); renewSorts(); })) : null,
    !source().still && others.length > 2 ? labelled("compare with", pick("other", others, renew)) : null, apart];
  const clear = el("button", { type: "button", onclick: () => {
    for (const name of Object.keys(filters)) if (!["estimator", "other"].includes(name)) delete filters[name];
    element.querySelectorAll("input").forEach((input) => { input.value = ""; });
    for (const name of ["sort", "label", "truth"]) if (form[name]) form[name].value = "";
    apply();
  } }, "Clear");
  const open = ["low", "width", "other", "apart"].some((name) => filters[name] !== undefined);
  const element = el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    el("details", { class: "all", open: window.innerWidth >= 700 }, el("summary", {}, "Filter and sort"),
      el("div", { class: "fields" }, main, clear),
      el("details", { open }, el("summary", {}, "More filters"), el("div", { class: "fields" }, more))));
  return { form, element };
}

// Tiles in rows, of which only those near what is seen exist.
function makeGrid(scroller, about, columns, selected, changed) {
  const tall = el("div", { class: "tall" });
  scroller.append(tall);
  let order = [], across = 1, focused = 0;
  const drawn = new Map();
  const height = () => (EDGE + CAPTION + GAP) * ROWS;
  const lines = () => Math.ceil(order.length / across);

  function measure() { across = Math.max(1, Math.floor((tall.clientWidth + GAP) / (EDGE + GAP))); }

  function fill(examples) {
    order = examples;
    focused = 0;
    measure();
    scroller.scrollTop = 0;
    redraw();
  }

  function redraw() {
    drawn.forEach((part) => part.remove());
    drawn.clear();
    tall.style.height = `${lines() * (EDGE + CAPTION + GAP)}px`;
    draw();
  }

  function draw() {
    const room = scroller.clientHeight || 600;
    const first = Math.max(0, Math.floor((scroller.scrollTop - room) / height()));
    const last = Math.min(Math.ceil(lines() / ROWS) - 1, Math.floor((scroller.scrollTop + 2 * room) / height()));
    for (const [k, part] of drawn) if (k < first || k > last) { part.remove(); drawn.delete(k); }
    const middle = (scroller.scrollTop + room / 2) / height();
    const missing = [];
    for (let k = first; k <= last; k++) if (!drawn.has(k)) missing.push(k);
    missing.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
    for (const k of missing) {
      drawn.set(k, part(k));
      tall.append(drawn.get(k));
    }
  }

  function part(k) {
    const places = Array.from(order.slice(k * ROWS * across, (k + 1) * ROWS * across));
    const sheet = about.side ? source().sheet(about.cell, places, across) : null;
    const made = el("div", { class: "part", style: { top: `${k * height()}px` } }, places.map((j, i) => one(j, k * ROWS * across + i, sheet, i)));
    if (sheet) {
      const image = new Image();
      const began = performance.now();
      image.onload = image.onerror = () => { made.dataset.ready = Math.round(performance.now() - began); };
      image.src = sheet.address;
    } else made.dataset.ready = 0;
    return made;
  }

  function one(j, at, sheet, i) {
    const { label, clean_label: clean } = columns.examples, { score, low, high } = columns.scores;
    const names = about.classes, wrong = clean && clean[j] !== label[j];
    const truth = wrong ? `, truly ${names[clean[j]]}` : "";
    const alt = `example ${j}, label ${names[label[j]]}${truth}, score ${number(score[j])} ${interval(low[j], high[j])}`;
    const beside = columns.other ? ` · ${number(columns.other.score[j])}` : "";
    const made = el("div", { class: `tile${wrong ? " mislabelled" : ""}${selected.has(j) ? " selected" : ""}`, "data-example": j, "data-at": at },
      el("a", { href: cellLink(about.cell, j), title: `#${alt.slice(8)}`, tabindex: at === focused ? 0 : -1, "aria-label": alt },
        sheet ? tile(sheet, i, EDGE, "") : el("span", { class: "image none" }, `#${j}`),
        el("span", { class: "caption" }, el("b", {}, number(score[j]) + beside), " ", el("span", { class: "name" }, about.labels_known ? names[label[j]] : null, wrong ? el("i", {}, ` (${names[clean[j]]})`) : null))),
      el("input", { type: "checkbox", "aria-label": `select example ${j}`, tabindex: -1, checked: selected.has(j), onchange: () => choose(j) }));
    made.querySelector("a .image").removeAttribute("role");
    return made;
  }

  function choose(j) {
    if (!selected.delete(j)) selected.add(j);
    const made = tall.querySelector(`[data-example="${j}"]`);
    if (made) {
      made.classList.toggle("selected", selected.has(j));
      made.querySelector("input").checked = selected.has(j);
    }
    changed();
  }

  function key(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -order.length, End: order.length };
    if (event.key === "x" && order.length) { choose(order[focused]); event.preventDefault(); }
    if (!(event.key in moves) || !order.length) return;
    event.preventDefault();
    tall.querySelector(`[data-at="${focused}"] a`)?.setAttribute("tabindex", -1);
    focused = Math.max(0, Math.min(order.length - 1, focused + moves[event.key]));
    const top = Math.floor(focused / across) * (EDGE + CAPTION + GAP);
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + EDGE + CAPTION + GAP > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + EDGE + CAPTION + GAP - scroller.clientHeight;
    draw();
    const link = tall.querySelector(`[data-at="${focused}"] a`);
    link.setAttribute("tabindex", 0);
    link.focus({ preventScroll: true });
  }

  scroller.addEventListener("scroll", () => { if (scroller.isConnected) PLACE[about.cell] = scroller.scrollTop; });
  let waiting = false;
  scroller.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  });
  const observer = new ResizeObserver(() => {
    if (!scroller.isConnected) return observer.disconnect();
    const before = across;
    measure();
    if (before !== across) { scroller.scrollTop = Math.floor(scroller.scrollTop * before / across); redraw(); } else draw();
  });
  observer.observe(scroller);
  return { fill, key };
}
