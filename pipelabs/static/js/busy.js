// Show progress while an exchange is being asked, and prevent a second submission.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-busy]");
  const button = event.submitter;
  if (!form || !button) return;
  if ("sent" in form.dataset) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = button.textContent;
  button.textContent = form.dataset.busy;
  button.setAttribute("aria-disabled", "true");
});
// A page restored from the back/forward cache would still show the progress. Loading it again would
// ask to send the form again, if the page is the answer to one.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("[data-sent]")) {
    const button = form.querySelector('[aria-disabled="true"]');
    button.textContent = form.dataset.sent;
    button.removeAttribute("aria-disabled");
    delete form.dataset.sent;
  }
});
