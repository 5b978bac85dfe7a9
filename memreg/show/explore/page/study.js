"use strict";
// A study: memorization over test accuracy, cell by cell, for any threshold (the paper's Figure 3).

function cellColumns() {
  return [
    { name: "cell", text: true, key: (row) => row.cell, show: (row) => el("a", { href: cellLink(row.cell) }, row.cell.slice(0, 8)) },
    { name: "data set", text: true, key: (row) => row.dataset, show: (row) => row.dataset },
    { name: "model", text: true, key: (row) => row.model, show: (row) => row.model },
    { name: "networks", key: (row) => row.members, show: (row) => count(row.members) },
    { name: "test accuracy", key: (row) => row.test_accuracy, show: (row) => percent(row.test_accuracy) },
    { name: "accuracy on included", key: (row) => row.included_accuracy, show: (row) => percent(row.included_accuracy) },
    { name: "mean score", key: (row) => row.mean_score, show: (row) => number(row.mean_score, 3) },
    { name: "memorized ≥ .25", key: (row) => row["memorized_fraction/0.25"], show: (row) => percent(row["memorized_fraction/0.25"]) },
  ];
}

async function showStudy(name) {
  const found = await source().study(name);
  return () => drawStudy(found);
}

function drawStudy(found) {
  const cells = table(cellColumns(), found.cells, (row) => ({ onmouseenter: () => light(row.cell, true), onmouseleave: () => light(row.cell, false) }));
  const figure = el("figure", { class: "scatter" });
  const words = el("p", { class: "r", id: "r", "aria-live": "polite" });
  let slider = null;

  function light(hash, on) {
    figure.querySelectorAll(`[data-cell="${hash}"]`).forEach((dot) => dot.classList.toggle("lit", on));
    cells.querySelectorAll(`tr[data-row="${hash}"]`).forEach((row) => row.classList.toggle("lit", on));
  }

  function draw() {
    const threshold = (slider.valueAsNumber / 100).toFixed(2), key = `memorized_fraction/${threshold}`;
    const points = found.points.filter((row) => row[key] !== null && row.test_accuracy !== null);
    const withheld = found.points.length - points.length;
    const datasets = [...new Set(found.points.map((row) => row.dataset))];
    const said = (r, what) => (r && r.r !== null ? `${what} r = ${number(r.r)} [${number(r.low)}, ${number(r.high)}]` : `${what} no r`);
    const pooled = found.pooled[key], within = found.fixed_effects[key];
    words.textContent = `Score ≥ ${number(Number(threshold))}: ${[within ? said(within, "within data sets") : null, said(pooled, within ? "pooled" : "Pearson")].filter(Boolean).join("; ")}; ${pooled ? pooled.n : points.length} cells${withheld ? `, ${withheld} without an estimate at so few networks` : ""}.`;
    slider.setAttribute("aria-valuetext", words.textContent);
    const drawing = Plot.plot({
      width: Math.min(820, Math.max(320, figure.clientWidth || 800)), height: 430, marginLeft: 56, marginBottom: 44, style: { background: "transparent", fontSize: "13px" },
      ariaLabel: "Memorized fraction over test accuracy, a point per cell", ariaDescription: words.textContent,
      color: { domain: datasets, range: colours(), legend: datasets.length > 1 },
      x: { label: "test accuracy (%)", percent: true, nice: true }, y: { label: `examples with a score of ${threshold} or more (%)`, percent: true, grid: true, domain: domain },
      marks: [
        points.length > 2 ? Plot.linearRegressionY(points, { x: "test_accuracy", y: key, stroke: "currentColor", strokeOpacity: 0.6, fillOpacity: 0.08, clip: true }) : null,
        Plot.ruleX(points, { x: "test_accuracy", y1: `${key}_low`, y2: `${key}_high`, stroke: "dataset", strokeOpacity: 0.4, clip: true }),
        Plot.ruleY(points, { y: key, x1: "test_accuracy_low", x2: "test_accuracy_high", stroke: "dataset", strokeOpacity: 0.4 }),
        Plot.dot(points, { x: "test_accuracy", y: key, r: 6, fill: "dataset", className: "points", href: (row) => cellLink(row.cell),
          ariaLabel: (row) => `${row.cell.slice(0, 8)} ${row.model} on ${row.dataset}: test accuracy ${percent(row.test_accuracy)}, memorized ${percent(row[key])}` }),
        Plot.tip(points, Plot.pointer({ x: "test_accuracy", y: key, title: (row) => `${row.cell.slice(0, 8)}  ${row.model}\n${row.dataset}\ntest accuracy ${percent(row.test_accuracy)}\nmemorized ${percent(row[key])} [${percent(row[`${key}_low`])}, ${percent(row[`${key}_high`])}]` })),
      ],
    });
    opens(drawing, (row) => cellLink(row.cell));
    figure.replaceChildren(drawing);
    figure.querySelectorAll("a").forEach((link) => {
      const hash = decodeURIComponent((link.getAttribute("href") || link.getAttributeNS("http://www.w3.org/1999/xlink", "href")).split("/")[2]);
      link.dataset.cell = hash;
      link.addEventListener("mouseenter", () => light(hash, true));
      link.addEventListener("mouseleave", () => light(hash, false));
    });
  }

  let domain = [0, 100];
  let part = el("p", { class: "warning" }, found.why);
  if (!found.why) {
    const all = found.points.flatMap((row) => Object.keys(row).filter((name) => /^memorized_fraction\/0\.\d+$/.test(name)).map((name) => row[name])).filter((v) => v !== null);
    domain = [0, 100 * Math.min(1, 1.05 * Math.max(0.02, ...all))]; // the scale is in per cent
    slider = el("input", { type: "range", id: "threshold", min: 5, max: 95, step: 5, value: 25, oninput: draw });
    part = el("section", {}, el("label", { class: "slider" }, el("span", {}, "An example counts as memorized from a score of"), slider), words, figure);
  }
  const left = found.left_out ? el("p", { class: "warning" }, found.left_out) : null;
  show({ title: `Study ${found.study}` }, left, el("div", { class: "beside" }, part, el("section", {}, el("h2", {}, `${count(found.cells.length)} cells`), cells)));
  if (slider) { draw(); new ResizeObserver(() => draw()).observe(figure.parentElement); }
}
