// Show progress while an exchange is being asked, and prevent a second submission.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-busy]");
  const button = event.submitter;
  if (!form || !button) return;
  button.dataset.was = button.textContent;
  button.textContent = form.dataset.busy;
  button.setAttribute("aria-disabled", "true");
  form.addEventListener("submit", (again) => again.preventDefault());
});
// A page restored from the back/forward cache would still show the progress, so reload it.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
