"use strict";
// Examples that are probably mislabelled, and what the person who looks says of each.

const MARKS = { w: "wrong", r: "right", u: "unsure" };
const SHOWN_LABELS = 500;

async function showLabels(hash) {
  const about = await source().cell(hash);
  const [examples, found, scores] = await Promise.all([source().examples(about.cell), source().labels(about.cell), scoresOf(about, about.first)]);
  const rows = Array.from(found.example, (example, i) => ({ example, label: examples.label[example], proposed: found.proposed[i],
    agreement: found.agreement[i], label_agreement: found.label_agreement[i], count: found.excluded_count[i], low: found.low[i],
    score: scores.score[example], clean: examples.clean_label ? examples.clean_label[example] : null })).slice(0, SHOWN_LABELS);
  const files = await source().files(about.cell, rows.map((row) => row.example));
  rows.forEach((row, i) => { row.file = files[i] || ""; });
  return () => drawLabels(about, rows, found.total ?? found.example.length);
}

function drawLabels(about, rows, total) {
  const key = `marks ${about.cell}`, marks = kept.get(key) || {}, names = about.classes;
  let current = 0;
  const list = el("ol", { class: "labels" });
  const status = el("p", { class: "status", id: "status" });
  const places = rows.map((row) => row.example), across = 20;
  const sheets = [];
  for (let at = 0; at < places.length; at += 100) sheets.push(about.side ? source().sheet(about.cell, places.slice(at, at + 100), across) : null);

  function tell() {
    const given = rows.map((row) => marks[row.example]).filter(Boolean);
    const each = Object.values(MARKS).map((mark) => `${given.filter((one) => one === mark).length} ${mark}`).join(", ");
    status.textContent = `${given.length} of ${rows.length} marked: ${each}.`;
  }

  function mark(i, value) {
    const { example } = rows[i];
    if (value === null || marks[example] === value) delete marks[example]; else marks[example] = value;
    if (!kept.set(key, marks)) say("This frame keeps no marks: save them before you leave.");
    list.children[i].dataset.mark = marks[example] || "";
    list.children[i].querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", button.dataset.mark === marks[example]));
    tell();
  }

  function go(i) {
    current = Math.max(0, Math.min(rows.length - 1, i));
    list.children[current].querySelector("a").focus();
    list.children[current].scrollIntoView({ block: "nearest" });
  }

  rows.forEach((row, i) => {
    const alt = `example ${row.example}, label ${names[row.label]}`;
    const truth = row.clean === null ? null : el("span", { class: row.clean === row.label ? "soft" : "planted" }, row.clean === row.label ? "label was right" : `truly ${names[row.clean]}`);
    list.append(el("li", { "data-example": row.example, "data-mark": marks[row.example] || "", onfocusin: () => { current = i; } },
      el("a", { href: cellLink(about.cell, row.example), "aria-label": alt }, sheets[Math.floor(i / 100)] ? tile(sheets[Math.floor(i / 100)], i % 100, 96, alt) : el("span", { class: "image none" }, `#${row.example}`)),
      el("div", {},
        el("p", {}, "labelled ", el("b", {}, names[row.label]), ", networks say ", el("b", { class: "proposed" }, names[row.proposed]), " ", truth),
        el("p", { class: "soft" }, `${percent(row.agreement, 0)} of ${count(row.count)} networks that did not see it say so, ${percent(row.label_agreement, 0)} the label. Score ${number(row.score)}. `, el("span", { class: "file" }, row.file || `#${row.example}`)),
        el("p", { class: "marks" }, Object.entries(MARKS).map(([letter, value]) => el("button", { "data-mark": value, "aria-pressed": marks[row.example] === value, onclick: () => mark(i, value), title: `key ${letter}` }, value))))));
  });

  const save = el("button", { id: "save", onclick: () => {
    const field = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = rows.filter((row) => marks[row.example]).map((row) => [row.example, field(row.file), field(names[row.label]), field(names[row.proposed]), marks[row.example]].join(","));
    download(`${about.cell.slice(0, 8)}-labels.csv`, `example,file,label,proposed,mark\n${lines.map((line) => `${line}\n`).join("")}`);
  } }, "Save marks as CSV");
  const first = total > rows.length ? `; the ${rows.length} surest are below` : "";
  const words = rows.length
    ? `Networks that did not see an example mostly say another class than its label: ${count(total)} of ${count(about.n_train)} examples${first}, surest first. Some are mislabelled, some only look like another class: you decide.`
    : "No example whose label networks that did not see it clearly contradict.";
  show({ title: "Label check", trail: [[cellTitle(about), cellLink(about.cell)]], tabs: cellTabs(about), tab: "Label check", keys: (event) => {
    if (event.key === "ArrowDown" || event.key === "j") { go(current + 1); event.preventDefault(); }
    if (event.key === "ArrowUp" || event.key === "k") { go(current - 1); event.preventDefault(); }
    if (event.key in MARKS && rows.length) { mark(current, MARKS[event.key]); go(current + 1); }
  } }, notes(about), el("p", {}, words),
  rows.length ? el("div", { class: "bar" }, status, el("span", { class: "soft keys" }, "keys: w wrong, r right, u unsure; ↑ ↓ move"), save) : null, list);
  tell();
}
