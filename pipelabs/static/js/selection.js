// Counts and selects rows of a table. Without JavaScript, each check box works by itself.
function boxes(form) {
  return [...form.querySelectorAll("td input[type=checkbox]")];
}

function show(form) {
  const all = boxes(form);
  const chosen = all.filter((box) => box.checked).length;
  const count = form.querySelector("[data-selected-count]");
  const noun = count.dataset.noun + (chosen === 1 ? "" : "s");
  count.textContent = chosen ? `${chosen} ${noun} selected` : "";
  const every = form.querySelector("[data-select-all]");
  every.hidden = false;
  every.checked = chosen === all.length;
  every.indeterminate = chosen > 0 && chosen < all.length;
}

let last = null;

document.addEventListener("click", (event) => {
  const form = event.target.closest("[data-selection]");
  if (!form || event.target.type !== "checkbox") return;
  const all = boxes(form);
  if ("selectAll" in event.target.dataset) {
    for (const box of all) box.checked = event.target.checked;
  } else {
    const [from, to] = [all.indexOf(last), all.indexOf(event.target)].sort((a, b) => a - b);
    if (event.shiftKey && from >= 0) {
      for (const box of all.slice(from, to + 1)) box.checked = event.target.checked;
    }
    last = event.target;
  }
  show(form);
});

function dress(root) {
  for (const form of root.querySelectorAll("[data-selection]")) show(form);
}

document.addEventListener("htmx:load", (event) => dress(event.detail.elt.parentElement ?? document));
dress(document);
