// The palette (Ctrl-K or Cmd-K): finds anything, from any page.
import { recentThings } from "./recent.js";

const dialog = document.getElementById("palette");
const input = dialog?.querySelector("input");
const found = dialog?.querySelector(".palette-found");
const status = dialog?.querySelector('[role="status"]');
const TYPING_MS = 120;
const FAILURES = {
  403: "You don't have access to the search.",
  429: "Too many searches. Wait a moment.",
};
// The text whose results are shown, or null. Enter waits for those of what was typed.
let shown = null;
let isWaiting = false;
let timer;

function options() {
  return [...dialog.querySelectorAll('[role="option"]')];
}

function choose(option) {
  for (const other of options()) other.setAttribute("aria-selected", other === option);
  if (option) input.setAttribute("aria-activedescendant", option.id);
  else input.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
}

function selected() {
  return dialog.querySelector('[aria-selected="true"]');
}

function search() {
  clearTimeout(timer);
  htmx.trigger(input, "palette-search");
}

export function openPalette() {
  if (!dialog || document.querySelector("dialog[open]")) return;
  input.value = "";
  shown = null;
  dialog.showModal();
  input.focus();
  search();
}

function move(step) {
  const all = options();
  if (all.length) choose(all[(all.indexOf(selected()) + step + all.length) % all.length]);
}

function go() {
  isWaiting = shown !== input.value;
  if (isWaiting) search();
  else selected()?.click();
}

function press(event) {
  if (event.isComposing) return;
  if (event.key === "ArrowDown") move(1);
  else if (event.key === "ArrowUp") move(-1);
  else if (event.key === "Enter") go();
  else return;
  event.preventDefault();
}

function showResults(event) {
  const text = event.detail.requestConfig.parameters.q;
  found.setAttribute("aria-busy", "false");
  input.setAttribute("aria-expanded", String(options().length > 0));
  choose(options()[0]);
  const best = selected()?.querySelector(".palette-label").textContent ?? "";
  const said = found.querySelector("[data-announce]")?.textContent.trim().replace(/\s+/g, " ");
  status.textContent = best ? `${said} ${best}` : said;
  shown = text;
  if (isWaiting && shown === input.value) go();
}

function showFailure(event) {
  const message = document.createElement("p");
  message.className = "palette-none";
  message.append(FAILURES[event.detail.xhr?.status] ?? "The search failed.", " ");
  const retry = document.createElement("button");
  retry.type = "button";
  retry.className = "button button-plain";
  retry.textContent = "Try again";
  retry.addEventListener("click", () => {
    input.focus();
    search();
  });
  message.append(retry);
  found.replaceChildren(message);
  found.setAttribute("aria-busy", "false");
  input.setAttribute("aria-expanded", "false");
  choose(null);
  status.textContent = message.firstChild.textContent;
  isWaiting = false;
  shown = null;
}

if (dialog) {
  for (const button of document.querySelectorAll("[data-palette-open]")) {
    button.addEventListener("click", openPalette);
  }
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openPalette();
    }
  });
  input.addEventListener("keydown", press);
  input.addEventListener("input", () => {
    isWaiting = false;
    clearTimeout(timer);
    timer = setTimeout(search, TYPING_MS);
  });
  dialog.addEventListener("htmx:configRequest", (event) => {
    event.detail.parameters.recent = recentThings(!input.value).join(",");
  });
  dialog.addEventListener("htmx:beforeRequest", () => found.setAttribute("aria-busy", "true"));
  dialog.addEventListener("htmx:beforeSwap", (event) => {
    // What is wrong with the text is shown in place of the results.
    if (event.detail.xhr.status === 400) Object.assign(event.detail, { shouldSwap: true, isError: false });
  });
  dialog.addEventListener("htmx:afterSwap", showResults);
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    dialog.addEventListener(name, showFailure);
  }
  // Chromium leaves the focus in the hidden field if nothing had it before.
  dialog.addEventListener("close", () => input.blur());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
