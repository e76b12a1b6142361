// Tell screen readers what has happened without a new page.
const place = document.querySelector("[data-announcement]");

export function announce(text) {
  if (!place) return;
  // The same text again would not be read.
  place.textContent = place.textContent === text ? `${text}\u00a0` : text;
}
