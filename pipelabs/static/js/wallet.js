// Check the wallet address while it is typed. Without JavaScript the server checks it on submit.
for (const form of document.querySelectorAll("[data-wallet-check]")) {
  const input = form.elements.wallet_address;
  const note = document.createElement("div");
  note.id = "wallet-note";
  note.setAttribute("aria-live", "polite");
  input.after(note);
  const attributes = {
    "hx-post": form.dataset.walletCheck,
    "hx-trigger": "input changed delay:200ms",
    "hx-target": "#wallet-note",
    "hx-swap": "innerHTML",
    "hx-params": "csrf_token,wallet_address",
    "hx-sync": "this:replace",
  };
  for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
  htmx.process(input);
}
