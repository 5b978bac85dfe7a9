"use strict";
// One training example: its image, its score wherever it has one, and what members say of it.

async function showExample(hash, index) {
  const about = await source().cell(hash);
  const asked = (kept.get(`filters ${about.cell}`) || {}).estimator;
  const estimator = about.estimators.includes(asked) ? asked : about.first;
  const [found, examples, scores] = await Promise.all([source().example(about.cell, index), source().examples(about.cell), scoresOf(about, estimator)]);
  return () => {
    const order = ORDER[about.cell] || Int32Array.from({ length: about.n_train }, (_, i) => i);
    const at = order.indexOf(index), names = about.classes;
    const near = (step) => (at + step >= 0 && at + step < order.length ? cellLink(about.cell, order[at + step]) : null);
    const row = (name) => (scores[name] ? scores[name][index] : NaN);
    const clean = examples.clean_label ? examples.clean_label[index] : null, label = examples.label[index];
    const big = el("figure", { class: "big" }, picture(about, index),
      el("nav", { class: "steps", "aria-label": "Other examples" },
        el("a", { href: near(-1), rel: "prev", class: near(-1) ? "" : "off" }, "← previous"), el("a", { href: near(1), rel: "next", class: near(1) ? "" : "off" }, "next →")));
    const facts = [
      [estimator ? `score, by ${estimator}` : "score", `${number(row("score"))} ${interval(row("low"), row("high"))}`],
      ["right when included", Number.isFinite(row("included_accuracy")) ? `${percent(row("included_accuracy"), 0)} of ${count(row("included_count"))} networks` : null],
      ["right when excluded", Number.isFinite(row("excluded_accuracy")) ? `${percent(row("excluded_accuracy"), 0)} of ${count(row("excluded_count"))} networks` : null],
      ["label", names[label]],
      ["true label", clean !== null && clean !== label ? names[clean] : null],
      ["planted group", examples.group && examples.group[index] >= 0 ? String(examples.group[index]) : null],
      ["file", found.file || null],
    ];
    const list = el("dl", {}, facts.filter(([, value]) => value !== null).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
    show({ title: `Example ${index}`, trail: [[cellTitle(about), cellLink(about.cell)]], tabs: cellTabs(about),
      keys: (event) => { const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]; if (step && near(step)) open(near(step)); } },
    notes(about),
    el("div", { class: "example" }, big, el("div", {}, list, votes(about, found))),
    el("div", { class: "charts" }, margins(found), overCells(about, found), traced(found)),
    companions(about, found));
  };
}

function picture(about, index) {
  if (!about.side) return el("div", { class: "image none large" }, `#${index}`);
  const address = source().image(about.cell, index), alt = `training example ${index}`;
  if (address) return el("img", { src: address, alt, class: Math.max(about.height, about.width) < 160 ? "pixels" : "" });
  return tile(source().sheet(about.cell, [index], 1), 0, 256, alt);
}

function chart(title, reading, options, link = null) {
  const drawing = Plot.plot({ width: 460, height: 270, marginLeft: 48, marginBottom: 42, style: { background: "transparent", fontSize: "12px" }, ariaLabel: title, ariaDescription: reading, ...options });
  if (link) opens(drawing, link);
  return el("figure", { class: "chart" }, el("figcaption", {}, el("b", {}, title), " ", reading), drawing);
}

function margins(found) {
  if (!found.included || !(found.included.length + found.excluded.length)) return null;
  const values = [...found.included.map((m) => ({ m, of: "included" })), ...found.excluded.map((m) => ({ m, of: "excluded" }))];
  const clipped = found.exact ? "" : " Stored without their tails: none is beyond 8.3.";
  return chart("How sure networks are of the label.", `Log odds by the ${count(found.included.length)} networks that saw it and the ${count(found.excluded.length)} that did not; above 0 they mostly say the label.${clipped}`, {
    color: { domain: ["included", "excluded"], range: colours().slice(0, 2), legend: true },
    x: { label: "log odds of the label" }, y: { label: "networks (%)", percent: true, grid: true, ticks: 3 },
    marks: [
      Plot.rectY(values, Plot.binX({ y: "proportion-facet" }, { x: "m", fill: "of", fy: "of", thresholds: 24, inset: 0.5 })),
      Plot.ruleX([0], { stroke: "currentColor", strokeDasharray: "3,3" }), Plot.ruleY([0], { stroke: "currentColor" })],
    fy: { label: null, axis: null, domain: ["included", "excluded"] },
  });
}

function overCells(about, found) {
  const cells = found.cells.filter((row) => row.test_accuracy !== null);
  if (cells.length < 2) return null;
  return chart("Its score in every cell with this data set.", "Over test accuracy, with 95 % intervals; the filled point is this cell. A click opens the example there.", {
    x: { label: "test accuracy (%)", percent: true }, y: { label: "score", grid: true },
    marks: [Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.4 }),
      Plot.ruleX(cells, { x: "test_accuracy", y1: "low", y2: "high", stroke: "var(--mark)", strokeOpacity: 0.35 }),
      Plot.dot(cells, { x: "test_accuracy", y: "score", r: 5, stroke: "var(--mark)", fill: (row) => (row.cell === about.cell ? "var(--mark)" : "var(--paper)"),
        href: (row) => cellLink(row.cell, found.example), title: (row) => `${row.cell.slice(0, 8)} ${row.model}: ${number(row.score)} ${interval(row.low, row.high)}${row.estimator ? `, by ${row.estimator}` : ""}`, tip: true })],
  }, (row) => cellLink(row.cell, found.example));
}

function traced(found) {
  if (!found.trace) return null;
  const { steps, margin, correct, members } = found.trace;
  const points = steps.flatMap((step, i) => [{ step, value: margin[i], of: "log odds of the label" }]);
  const learned = steps.find((_, i) => correct[i] >= 0.5);
  return chart("While it was learned.", `Mean over ${count(members)} networks that saw it. ${learned === undefined ? "Most were never right about it." : `Most were right about it from step ${count(learned)} on.`}`, {
    x: { label: "steps of training" }, y: { label: "log odds of the label", grid: true },
    marks: [Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.4 }), Plot.lineY(points, { x: "step", y: "value", stroke: "var(--mark)", marker: "dot" })],
  });
}

// What the members that did not see it take it for.
function votes(about, found) {
  if (!found.votes) return null;
  const total = found.votes.reduce((a, b) => a + b, 0);
  if (!total) return el("p", { class: "soft" }, "No network left it out.");
  const named = found.votes.map((n, i) => [(about.labels_known ? about.classes[i] : i ? null : "its class") ?? "another class", n]).filter(([, n]) => n).sort((a, b) => b[1] - a[1]).slice(0, 5);
  return el("div", { class: "votes" }, el("h2", {}, `What the ${count(total)} networks that did not see it say`),
    named.map(([name, n]) => el("div", { class: "vote" }, el("span", { class: "name" }, name), el("span", { class: "barline" }, el("span", { style: { width: `${100 * n / total}%` } })), el("span", {}, percent(n / total, 0)))));
}

function companions(about, found) {
  if (!found.peers) return null;
  const part = (title, shown, total, none, link) => el("section", {}, el("h2", {}, title),
    shown.length ? [el("p", { class: "soft" }, `${count(total)} beyond chance (5 %, Holm's procedure)${total > shown.length ? `, the ${shown.length} largest effects shown` : ""}; the number is by how much ${found.unit === "share" ? "more networks are right, in points" : "their log odds rise"}.`),
      strip(about, shown.map((one) => ({ place: one.place, text: `${about.labels_known ? about.classes[one.label] : `#${one.example}`} +${found.unit === "share" ? Math.round(100 * one.effect) : number(one.effect, 1)}`, link: link && cellLink(about.cell, one.example) })))]
      : el("p", { class: "soft" }, none));
  return el("div", {},
    part("Its peers: training examples that networks know better for having seen it", found.peers, found.peers_count, `None stands out of the noise of ${count(about.members)} networks.`, true),
    part("Test images that it helps", found.helps, found.helps_count, `None stands out of the noise of ${count(about.members)} networks.`, false));
}
