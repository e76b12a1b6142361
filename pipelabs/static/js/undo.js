// Offers to undo a change for ten seconds. The service takes it for a minute.
const OFFERED_MS = 10_000;

function isUsed(form) {
  return form.matches(":hover, :focus-within");
}

// Who is about to press it keeps it.
function withdraw(form) {
  if (isUsed(form)) setTimeout(() => withdraw(form), 1000);
  else form.remove();
}

for (const form of document.querySelectorAll("[data-undo]")) {
  form.hidden = false;
  setTimeout(() => withdraw(form), OFFERED_MS);
}
