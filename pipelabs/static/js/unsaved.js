// Ask before a form whose entries have not been saved is left.
let changed = null;

document.addEventListener("input", (event) => {
  const form = event.target.closest("form");
  if (form?.matches(".form, [data-guarded]") && form.method === "post") changed = form;
});
document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target === changed) changed = null;
});
addEventListener("beforeunload", (event) => {
  if (changed?.isConnected) event.preventDefault();
});
