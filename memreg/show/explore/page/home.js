"use strict";
// What the registry has: studies and cells.

const LISTED = 300;

async function showHome() {
  const found = await source().home();
  return () => {
    const day = (ms) => (ms ? new Date(ms).toISOString().slice(0, 10) : "–");
    const studies = table([
      { name: "study", text: true, key: (row) => row.study, show: (row) => el("a", { href: studyLink(row.study) }, row.study) },
      { name: "begun", text: true, key: (row) => row.began, show: (row) => day(row.began) },
      { name: "", text: true, key: (row) => row.says, show: (row) => el("span", { class: "says" }, row.says) },
    ], found.studies);
    const part = el("div");
    const fill = (text) => {
      const words = text.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = found.cells.filter((row) => words.every((word) => `${row.cell} ${row.dataset} ${row.model} ${row.study} ${row.design}`.toLowerCase().includes(word)));
      part.replaceChildren(el("p", { class: "soft" }, `${count(rows.length)} cells${rows.length > LISTED ? `, the newest ${LISTED} shown` : ""}.`), table(cellColumns(), rows.slice(0, LISTED)));
    };
    fill("");
    show({ title: "Explore" }, el("p", { class: "soft" }, found.registry),
      el("h2", {}, "Studies"), found.studies.length ? studies : el("p", {}, "No study yet: `memreg corr_grid` trains one."),
      el("h2", {}, "Cells"), el("label", { class: "search" }, el("span", {}, "find"), el("input", { id: "find", placeholder: "data set, model, study, hash", oninput: (event) => fill(event.target.value) })), part);
  };
}
