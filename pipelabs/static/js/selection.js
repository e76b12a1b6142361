// Counts and selects rows of a table. Without JavaScript, each check box works by itself.
function boxes(form) {
  return [...form.querySelectorAll("td input[type=checkbox]")];
}

function sentence(form, chosen) {
  if (form.querySelector("[data-select-every]")?.checked) return "All selected";
  if (!chosen) return "";
  const { one, many } = form.querySelector("[data-selected-count]").dataset;
  return `${chosen} ${chosen === 1 ? one : many} selected`;
}

function show(form) {
  const all = boxes(form);
  const chosen = all.filter((box) => box.checked).length;
  form.querySelector("[data-selected-count]").textContent = sentence(form, chosen);
  const page = form.querySelector("[data-select-all]");
  page.hidden = false;
  page.checked = chosen === all.length;
  page.indeterminate = chosen > 0 && chosen < all.length;
}

let last = null;

function selectRange(all, box) {
  const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
  if (from < 0) return;
  for (const other of all.slice(from, to + 1)) other.checked = box.checked;
}

document.addEventListener("click", (event) => {
  const box = event.target;
  const form = box.closest("[data-selection]");
  if (!form || box.type !== "checkbox") return;
  const all = boxes(form);
  const every = form.querySelector("[data-select-every]");
  if ("selectAll" in box.dataset || box === every) {
    for (const other of all) other.checked = box.checked;
  } else if (event.shiftKey) {
    selectRange(all, box);
  }
  // All that match are meant only as long as no row is left out.
  if (every && box !== every && !all.every((other) => other.checked)) every.checked = false;
  if (all.includes(box)) last = box;
  show(form);
});

function dress(root) {
  for (const form of root.querySelectorAll("[data-selection]")) show(form);
}

document.addEventListener("htmx:load", (event) => dress(event.detail.elt.parentElement ?? document));
// A page restored by the browser has the boxes that were checked.
window.addEventListener("pageshow", () => dress(document));
dress(document);
