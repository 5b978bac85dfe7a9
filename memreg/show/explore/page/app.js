"use strict";
// One address for each thing that is shown: #/, #/study/NAME, #/cell/HASH, #/cell/HASH/EXAMPLE, #/labels/HASH.

const PAGES = {
  "": () => showHome(),
  study: (name) => showStudy(name),
  cell: (hash, index) => (index === undefined ? showGallery(hash) : showExample(hash, Number(index))),
  labels: (hash) => showLabels(hash),
};
let shown = 0;
let place = ""; // of a page in a frame that may not change its address, as MLflow's UI has them
let onKey = null;

// Give the page a title, its place among the others, and its contents.
function show({ title, trail = [], tabs = [], tab = null, keys = null, fixed = false }, ...contents) {
  document.title = `${title} | memreg`;
  const links = source().still ? [] : [el("a", { href: "#/", class: "home" }, "memreg")];
  document.getElementById("top").replaceChildren(
    el("nav", { "aria-label": "Where this is" }, links, trail.map(([text, link]) => el("a", { href: link }, text)), el("h1", {}, title)),
    el("nav", { class: "tabs", "aria-label": "Views" }, tabs.map(([text, link]) =>
      el("a", { href: link, "aria-current": text === tab ? "page" : null }, text))));
  document.body.classList.toggle("fixed", fixed);
  const page = document.getElementById("page");
  page.replaceChildren(...present(contents));
  page.scrollTop = 0;
  onKey = keys;
}

const cellTabs = (about) => [["Gallery", cellLink(about.cell)], ["Label check", labelsLink(about.cell)]];
const cellTitle = (about) => `${about.model} on ${about.dataset}`;

const here = () => (source().still ? place : location.hash);

function open(link) {
  if (!source().still) location.hash = link;
  else {
    place = link;
    route();
  }
}

async function route() {
  const mine = ++shown;
  const parts = here().replace(/^#\/?/, "").split("?")[0].split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const first = source().still && !parts[0] ? ["cell", source().first] : parts;
  say("");
  const slow = setTimeout(() => mine === shown && say("One moment ..."), 300);
  try {
    const draw = await (PAGES[first[0]] || PAGES[""])(...first.slice(1));
    if (mine === shown) say("");
    if (mine === shown && draw) draw();
  } catch (error) {
    if (mine !== shown) return;
    if (!(error instanceof Refused)) console.error(error);
    show({ title: "Not shown" }, el("p", { class: "warning" }, error instanceof Refused ? error.message : String(error)));
  } finally {
    clearTimeout(slow);
  }
}

window.addEventListener("hashchange", route);
window.addEventListener("click", (event) => {
  const link = event.target.closest?.("a");
  const address = link && (link.getAttribute("href") || link.getAttributeNS("http://www.w3.org/1999/xlink", "href"));
  if (!source().still || !address?.startsWith("#/")) return;
  event.preventDefault();
  open(address);
});
window.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (onKey && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) onKey(event);
});
route();
