// Enhancements of the console. Every page works without JavaScript.
import { announce } from "./announce.js";
import "./busy.js";
import "./palette.js";
import "./selection.js";
import "./shortcuts.js";
import "./undo.js";
import "./unsaved.js";
import "./zone.js";

const COPIED_MS = 1500;

function dress(root) {
  for (const time of root.querySelectorAll("time.when")) {
    time.title = `${new Date(time.dateTime).toLocaleString()} (your time)`;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.done = "";
  announce("Copied.");
  setTimeout(() => delete button.dataset.done, COPIED_MS);
});
document.addEventListener("htmx:load", (event) => dress(event.detail.elt));

dress(document);
