"use strict";
// Where the page's numbers come from: the server, or what is embedded in a page that has everything in it.

function unpack(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const kinds = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
  const columns = {};
  let at = 4 + size;
  for (const [name, kind, length] of header) {
    at = Math.ceil(at / 8) * 8;
    columns[name] = new kinds[kind](buffer, at, length);
    at += columns[name].byteLength;
  }
  return columns;
}

class Refused extends Error {}

const served = {
  still: false,
  kept: new Map(),
  async get(path, read) {
    if (!this.kept.has(path)) {
      const found = fetch(path).then(async (answer) => {
        if (answer.ok) return read(answer);
        const text = await answer.text();
        let why = text;
        try { why = JSON.parse(text).error; } catch { /* plain text */ }
        throw new Refused(why || `the server answered ${answer.status}`);
      });
      this.kept.set(path, found);
      found.catch(() => this.kept.delete(path));
    }
    return this.kept.get(path);
  },
  json(path) { return this.get(path, (answer) => answer.json()); },
  columns(path) { return this.get(path, async (answer) => unpack(await answer.arrayBuffer())); },
  home() { return this.json("told/home"); },
  study(name) { return this.json(`told/study/${encodeURIComponent(name)}`); },
  cell(hash) { return this.json(`told/cell/${hash}`); },
  examples(hash) { return this.columns(`told/cell/${hash}/examples`); },
  scores(hash, estimator) { return this.columns(`told/cell/${hash}/scores?estimator=${encodeURIComponent(estimator || "")}`); },
  labels(hash) { return this.columns(`told/cell/${hash}/labels`); },
  example(hash, index) { return this.json(`told/cell/${hash}/example/${index}`); },
  files(hash, examples) { return examples.length ? this.json(`told/cell/${hash}/files?examples=${examples.join(",")}`) : []; },
  image(hash, place) { return `told/cell/${hash}/image/${place}`; },
  // A picture of several examples, and where in it, in tiles, each of them is.
  sheet(hash, places, columns) {
    const at = places.map((_, i) => [i % columns, Math.floor(i / columns)]);
    const rows = Math.ceil(places.length / columns);
    return { address: `told/cell/${hash}/sheet?columns=${columns}&examples=${places.join(",")}`, at, columns, rows };
  },
};

// What `memreg explore --static` embeds: one cell, of it the examples in `shown`, in one sheet.
function embedded(content) {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const columns = Object.fromEntries(Object.entries(content.columns).map(([name, text]) => [name, unpack(bytes(text))]));
  const place = new Map(Array.from(columns.shown.example, (example, i) => [example, i]));
  return {
    still: true,
    first: content.about.cell,
    shown: columns.shown.example,
    async cell() { return content.about; },
    async examples() { return columns.examples; },
    async scores() { return columns.scores; },
    async labels() {
      if (content.unchecked) throw new Refused(content.unchecked);
      return { ...columns.labels, total: content.likely };
    },
    async files(hash, examples) { return content.files.length ? examples.map((j) => content.files[place.get(j)] || "") : []; },
    async example(hash, index) {
      const found = { example: index, label: columns.examples.label[index], cells: [], file: (await this.files(hash, [index])).join("") };
      const i = place.get(index);
      if (!columns.members || i === undefined) return found;
      const { members } = content, n = place.size;
      found.included = []; found.excluded = []; found.exact = content.exact;
      for (let m = 0; m < members; m++) {
        const margin = columns.members.margin[m * n + i];
        if (Number.isFinite(margin)) (columns.members.included[m * n + i] ? found.included : found.excluded).push(margin);
      }
      return found;
    },
    image(hash, index) { return null; },
    sheet(hash, places) {
      const across = content.across;
      const at = places.map((j) => { const i = place.get(j); return i === undefined ? null : [i % across, Math.floor(i / across)]; });
      return { address: content.sheet, at, columns: across, rows: Math.ceil(place.size / across) };
    },
  };
}

let chosenSource = null;

function source() {
  const content = document.getElementById("embedded");
  return chosenSource ??= content ? embedded(JSON.parse(content.textContent)) : served;
}
