// Shortcuts of one key, or of g and another. The list is that of the dialog, so both are the same.
import { openPalette } from "./palette.js";

const dialog = document.getElementById("shortcuts");
const GO_MS = 1500;
const TYPED_IN =
  'input:not([type="checkbox"], [type="radio"], [type="submit"], [type="button"]), textarea, select, [contenteditable]';
const ROWS = "main :is(tbody tr, .alert, .choices li, .entry)";
const LINKS = ".main-cell a[href], th a[href], a[href]";
const keys = new Map();
let wentAt = -Infinity;

function linkOf(row) {
  return [...row.querySelectorAll(LINKS)].find((link) => link.checkVisibility());
}

function rows() {
  return [...document.querySelectorAll(ROWS)].filter(linkOf);
}

function currentRow() {
  return document.activeElement?.closest(ROWS);
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const place = all.indexOf(currentRow());
  const next = place < 0 ? 0 : Math.min(Math.max(place + step, 0), all.length - 1);
  const link = linkOf(all[next]);
  link.focus({ preventScroll: true });
  all[next].scrollIntoView({ block: "nearest" });
}

const acts = {
  search() {
    const field = document.querySelector('main [role="search"] input[type="search"]');
    if (!field?.checkVisibility()) return openPalette();
    field.focus();
    field.select();
  },
  help: () => dialog.showModal(),
  next: () => move(1),
  previous: () => move(-1),
  select: () => currentRow()?.querySelector('input[type="checkbox"]')?.click(),
  open: () => currentRow() && linkOf(currentRow()).click(),
  edit: () => {
    const links = [...document.querySelectorAll("main .head .actions a")];
    links.find((link) => link.pathname.endsWith("/edit"))?.click();
  },
};

function run(shortcut) {
  const { act, href } = shortcut.dataset;
  if (href) location.assign(href);
  else acts[act]();
}

function press(event) {
  const isOther = event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
  if (isOther || event.defaultPrevented || event.target.closest?.(TYPED_IN)) return;
  if (document.querySelector("dialog[open]")) return;
  const isGoing = event.timeStamp - wentAt < GO_MS;
  wentAt = -Infinity;
  const shortcut = keys.get(isGoing ? `g ${event.key}` : event.key);
  if (shortcut) {
    event.preventDefault();
    run(shortcut);
  } else if (event.key === "g") {
    wentAt = event.timeStamp;
  }
}

if (dialog) {
  for (const shortcut of dialog.querySelectorAll("[data-act], [data-href]")) {
    for (const key of shortcut.dataset.keys.split(",")) keys.set(key, shortcut);
  }
  document.addEventListener("keydown", press);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
