// A form that waits for an exchange says so, and cannot be sent twice; without JavaScript the browser waits.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-busy]");
  const button = event.submitter;
  if (!form || !button) return;
  button.dataset.was = button.textContent;
  button.textContent = form.dataset.busy;
  button.setAttribute("aria-disabled", "true");
  form.addEventListener("submit", (again) => again.preventDefault());
});
// A page that comes back from the browser's memory is as it was before it was sent.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
