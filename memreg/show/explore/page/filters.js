"use strict";
// Which examples of a cell are shown, and in which order: pure functions of columns.

// "3, 10-14" as numbers; null for what is none.
function indices(text) {
  const wanted = new Set();
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    const found = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part);
    if (!found) return null;
    const from = Number(found[1]), to = Math.min(Number(found[2] || from), from + 1e6);
    for (let j = from; j <= to; j++) wanted.add(j);
  }
  return wanted;
}

const SORTS = {
  score: { name: "score, highest first", by: (c, i) => c.scores.score[i], down: true },
  score_up: { name: "score, lowest first", by: (c, i) => c.scores.score[i] },
  low: { name: "lower end of the interval", by: (c, i) => c.scores.low[i], down: true },
  excluded: { name: "accuracy when excluded, lowest first", by: (c, i) => c.scores.excluded_accuracy[i], needs: (c) => c.scores.excluded_accuracy },
  difference: { name: "difference, largest first", by: (c, i) => Math.abs(c.scores.score[i] - c.other.score[i]), down: true, needs: (c) => c.other },
  index: { name: "index", by: (c, i) => i },
};

// What is sorted by: a sort whose numbers there are.
function sorted(columns, filters) {
  const sort = SORTS[filters.sort];
  return sort && (!sort.needs || sort.needs(columns)) ? sort : SORTS.score;
}

// columns: {examples, scores, other}; of `shown`, if given, alone. Returns indices of examples.
function chosen(columns, filters, shown) {
  const { label, clean_label: clean, group } = columns.examples, { score, low, high } = columns.scores;
  const wanted = filters.index ? indices(filters.index) : null;
  const keep = [];
  const from = filters.from ?? -Infinity, to = filters.to ?? Infinity;
  for (const i of shown || label.keys()) {
    if (wanted && !wanted.has(i)) continue;
    if (filters.label !== undefined && label[i] !== filters.label) continue;
    if (!(score[i] >= from && score[i] <= to) && (filters.from !== undefined || filters.to !== undefined)) continue;
    if (filters.low !== undefined && !(low[i] >= filters.low)) continue;
    if (filters.width !== undefined && !(high[i] - low[i] <= filters.width)) continue;
    if (filters.apart !== undefined && columns.other && !(Math.abs(score[i] - columns.other.score[i]) >= filters.apart)) continue;
    if (filters.truth === "wrong" && !(clean[i] !== label[i])) continue;
    if (filters.truth === "right" && !(clean[i] === label[i])) continue;
    if (filters.truth === "planted" && !(group[i] >= 0)) continue;
    keep.push(i);
  }
  const sort = sorted(columns, filters), sign = sort.down ? -1 : 1;
  const key = Float64Array.from(keep, (i) => { const v = sort.by(columns, i); return Number.isNaN(v) ? Infinity : sign * v; });
  const order = Uint32Array.from(keep, (_, i) => i).sort((a, b) => key[a] - key[b] || keep[a] - keep[b]);
  return Int32Array.from(order, (i) => keep[i]);
}
