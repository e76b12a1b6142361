// Leave empty filters out of the URL, say how many rows a search has found, and say if it failed.
import { announce } from "./announce.js";

function listOf(form) {
  return document.querySelector(form.getAttribute("hx-target"));
}

// The rows are those of an earlier search, so they are not shown under what is typed now.
function showFailure(form) {
  const list = listOf(form);
  list.previousElementSibling?.matches("[data-failed]") && list.previousElementSibling.remove();
  const message = document.createElement("div");
  message.className = "message message-error";
  message.dataset.failed = "";
  message.setAttribute("role", "alert");
  message.append("The search failed.");
  const retry = document.createElement("button");
  retry.type = "button";
  retry.className = "button button-plain";
  retry.textContent = "Try again";
  retry.addEventListener("click", () => htmx.trigger(form, "submit"));
  message.append(retry);
  list.before(message);
  list.hidden = true;
}

for (const form of document.querySelectorAll("[data-filters]")) {
  form.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    for (const name of Object.keys(parameters)) {
      if (parameters[name] === "") delete parameters[name];
    }
  });
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    form.addEventListener(name, () => showFailure(form));
  }
}
document.addEventListener("htmx:afterSwap", (event) => {
  const form = event.detail.requestConfig?.elt;
  if (!form?.matches("[data-filters]")) return;
  const list = listOf(form);
  list.hidden = false;
  document.querySelector("[data-failed]")?.remove();
  const count = list.querySelector("[data-count]") ?? list.querySelector(".empty-title");
  announce(count?.textContent.trim() ?? "");
});
