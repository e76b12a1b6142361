// Command palette (Ctrl-K or Cmd-K) for clients, pages and actions.
const dialog = document.getElementById("palette");
const input = dialog?.querySelector("input");

function options() {
  return [...dialog.querySelectorAll('[role="option"]')];
}

function choose(option) {
  for (const other of options()) other.setAttribute("aria-selected", other === option);
  input.setAttribute("aria-activedescendant", option?.id ?? "");
  option?.scrollIntoView({ block: "nearest" });
}

function open() {
  if (dialog.open) return;
  input.value = "";
  dialog.showModal();
  input.focus();
  htmx.trigger(input, "palette-open");
}

function move(step) {
  const all = options();
  if (!all.length) return;
  const chosen = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
  choose(all[(chosen + step + all.length) % all.length]);
}

function press(event) {
  if (event.key === "ArrowDown") move(1);
  else if (event.key === "ArrowUp") move(-1);
  else if (event.key === "Enter") dialog.querySelector('[aria-selected="true"] a')?.click();
  else return;
  event.preventDefault();
}

if (dialog) {
  for (const button of document.querySelectorAll("[data-palette-open]")) {
    button.addEventListener("click", open);
  }
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    }
  });
  input.addEventListener("keydown", press);
  dialog.addEventListener("htmx:afterSwap", () => choose(options()[0]));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
